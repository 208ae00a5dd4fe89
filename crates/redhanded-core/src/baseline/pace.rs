//! Which request is the next to be kept: a countdown on each thread, per route.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Countdowns of a thread. Routes that share one share its pace, and no more than that.
pub(super) const TAGS: usize = 256;
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
        Self((mixed >> 56) as u8)
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
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
        self.0.iter().for_each(|c| c.store(0, Ordering::Relaxed));
    }

    /// Counts a request of `route`; `false` when it is the one to be kept.
    #[inline]
    pub(crate) fn passes(&self, route: Tag) -> bool {
        let count = &self.0[route.index()];
        let left = count.load(Ordering::Relaxed);
        if left as u16 == 0 {
            return false;
        }
        count.store(left - 1, Ordering::Relaxed);
        true
    }

    /// How many requests were counted for the one that is to be kept, itself among them.
    pub(super) fn counted(&self, route: Tag) -> u16 {
        let count = self.0.get(route.index());
        let from = count.map_or(0, |c| (c.load(Ordering::Relaxed) >> 16) as u16);
        from.max(1)
    }

    /// The next one after `next` requests.
    pub(super) fn rearm(&self, route: Tag, next: u16) {
        if let Some(count) = self.0.get(route.index()) {
            let word = u32::from(next) << 16 | u32::from(next.saturating_sub(1));
            count.store(word, Ordering::Relaxed);
        }
    }
}

/// How many requests of a route there are to one that is kept, from how many there were.
#[derive(Debug)]
pub(super) struct Every(AtomicU64);

impl Every {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// After so many more.
    pub(super) fn after(&self, more: u16) -> u32 {
        let more = u64::from(more);
        let seen = self.0.fetch_add(more, Ordering::Relaxed) + more;
        if seen < ALL_OF {
            1
        } else {
            (seen / PART).min(RAREST) as u32
        }
    }
}
