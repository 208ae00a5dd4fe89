//! Which request is the next to be kept: a countdown on each thread, per route.

use std::sync::atomic::{AtomicU32, Ordering};

/// Countdowns of a thread. Routes that share one share its pace, and no more than that.
pub(super) const TAGS: usize = 128;
/// So many requests of a route are all taken; beyond, one for each 32nd part of those seen.
const ALL_OF: u64 = 64;
const PART: u64 = 32;
/// Never rarer than one in so many.
const RAREST: u64 = 256;

/// Which countdown a route has, told without looking it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag(u8);

impl Tag {
    /// By its length and its last bytes: most routes differ there.
    #[inline]
    pub(crate) fn of(route: &str) -> Self {
        let bytes = route.as_bytes();
        let end = match (bytes.last_chunk::<8>(), bytes.last_chunk::<2>()) {
            (Some(eight), _) => u64::from_le_bytes(*eight),
            (None, Some(two)) => u64::from(u16::from_le_bytes(*two)),
            _ => 0,
        };
        let mixed = (end ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed >> 57) as u8)
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Together with a count in one word, as a slot has it.
    pub(super) fn with(self, count: u16) -> u32 {
        u32::from(self.0) << 16 | u32::from(count)
    }
    pub(super) fn and_count(word: u32) -> (Self, u16) {
        (Self((word >> 16) as u8), word as u16)
    }
}

/// The countdowns of one thread, which alone writes them: what is left, and from where it was counted.
#[derive(Debug)]
pub(crate) struct Pace([AtomicU32; TAGS]);

impl Pace {
    pub(crate) fn new() -> Self {
        Self([const { AtomicU32::new(0) }; TAGS])
    }

    /// A thread begins, where another one's countdowns were.
    pub(crate) fn begin(&self) {
        self.0
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
    }

    /// Counts a request of `route`; `false` when it is the one to be kept.
    #[inline]
    pub(crate) fn passes(&self, route: Tag) -> bool {
        let Some(count) = self.0.get(route.index()) else {
            return true;
        };
        let left = count.load(Ordering::Relaxed);
        if left as u16 == 0 {
            return false;
        }
        count.store(left - 1, Ordering::Relaxed);
        true
    }

    /// The next one after `next` requests. Returns how many were counted for this one.
    pub(super) fn rearm(&self, route: Tag, next: u16) -> u16 {
        let Some(count) = self.0.get(route.index()) else {
            return 1;
        };
        let word = u32::from(next) << 16 | u32::from(next.saturating_sub(1));
        let before = count.load(Ordering::Relaxed);
        count.store(word, Ordering::Relaxed);
        ((before >> 16) as u16).max(1)
    }
}

/// How many requests of a route there are to one that is kept.
#[derive(Debug)]
pub(super) struct Every(AtomicU32);

impl Every {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(1))
    }
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
    /// After `seen` requests.
    pub(super) fn set_for(&self, seen: u64) {
        let every = if seen < ALL_OF {
            1
        } else {
            (seen / PART).min(RAREST)
        };
        self.0.store(every as u32, Ordering::Relaxed);
    }
}
