//! All rings of the process, which requests take in turn, and where each open span is.

use super::packed::{RINGS, Spot};
use super::ring::{Losses, Ring};
use crate::registry::FreeList;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

/// Places that open spans are found by; two that share one are found more slowly.
const PLACES: usize = 1 << 15;

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool {
    free: FreeList::new(),
    made: AtomicU32::new(0),
    late: Mutex::new(Vec::new()),
});
static ALL: [OnceLock<&'static Ring>; RINGS] = [const { OnceLock::new() }; RINGS];
/// Each the spot of a span, and above it what is left of its key.
static SPOTS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

/// Of the whole process, as the rings are.
static COUNTS: Counts = Counts {
    no_ring: AtomicU64::new(0),
    lost: AtomicU64::new(0),
    torn: AtomicU64::new(0),
    overwritten: AtomicU64::new(0),
};

struct Counts {
    no_ring: AtomicU64,
    lost: AtomicU64,
    torn: AtomicU64,
    overwritten: AtomicU64,
}

struct Pool {
    free: FreeList,
    made: AtomicU32,
    /// Somebody was appending when they were to go home.
    late: Mutex<Vec<u16>>,
}

/// The spans and events of requests, as far as they could not be recorded; of the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoryStats {
    /// Rings that were made; 16 KiB each, and 4,096 at most.
    pub rings: u64,
    /// Spans and events of requests that found all rings taken.
    pub no_ring: u64,
    /// Spans and events that there was no room or time for in their request's ring.
    pub lost: u64,
    /// Looks at a ring that was written faster than it could be read.
    pub torn: u64,
    /// Spans and events of requests that are over, which newer ones of the same request were written over. They are
    /// part of no other count: most of these requests were of interest to nobody.
    pub overwritten: u64,
}

impl StoryStats {
    /// What was lost, all together, but for what was written over.
    pub fn total(&self) -> u64 {
        self.no_ring + self.lost + self.torn
    }
}

/// What was lost so far, and how many rings there are.
pub(crate) fn stats() -> StoryStats {
    StoryStats {
        rings: u64::from(POOL.made.load(Ordering::Relaxed)).min(RINGS as u64),
        no_ring: COUNTS.no_ring.load(Ordering::Relaxed),
        lost: COUNTS.lost.load(Ordering::Relaxed),
        torn: COUNTS.torn.load(Ordering::Relaxed),
        overwritten: COUNTS.overwritten.load(Ordering::Relaxed),
    }
}

/// A span or event of a request that has no ring.
#[cold]
pub(super) fn count_no_ring() {
    COUNTS.no_ring.fetch_add(1, Ordering::Relaxed);
}

#[cold]
pub(super) fn count_torn() {
    COUNTS.torn.fetch_add(1, Ordering::Relaxed);
}

/// The ring with this index.
#[inline]
pub(super) fn at(index: u16) -> Option<&'static Ring> {
    ALL.get(usize::from(index))?.get().copied()
}

/// A ring that nobody has; made, as long as there may be more.
pub(super) fn take() -> Option<&'static Ring> {
    let free = POOL
        .free
        .pop(|index| u16::try_from(index).ok().and_then(at));
    free.or_else(make).or_else(take_late)
}

#[cold]
fn make() -> Option<&'static Ring> {
    let made = POOL.made.fetch_add(1, Ordering::Relaxed);
    let Some(cell) = ALL.get(made as usize) else {
        POOL.made.fetch_sub(1, Ordering::Relaxed);
        return None;
    };
    // Leaked on purpose: whoever refers to it does so without counting, and they are reused.
    let index = u16::try_from(made).ok()?;
    Some(cell.get_or_init(|| Box::leak(Box::new(Ring::new(index)))))
}

#[cold]
fn take_late() -> Option<&'static Ring> {
    let mut late = POOL.late.try_lock()?;
    let ring = at(late.pop()?)?;
    match ring.clear() {
        Some(losses) => {
            count(losses);
            Some(ring)
        }
        None => {
            late.push(ring.index);
            None
        }
    }
}

/// Gives back a ring that nobody refers to as his any more.
pub(super) fn give_back(ring: &'static Ring) {
    match ring.clear() {
        Some(losses) => {
            count(losses);
            POOL.free.push(ring.index.into(), ring.link());
        }
        None => POOL.late.lock().push(ring.index),
    }
}

#[inline]
fn count(losses: Losses) {
    if losses.lost | losses.overwritten != 0 {
        let (lost, overwritten) = (losses.lost.into(), losses.overwritten.into());
        COUNTS.lost.fetch_add(lost, Ordering::Relaxed);
        COUNTS.overwritten.fetch_add(overwritten, Ordering::Relaxed);
    }
}

#[inline]
fn place(key: u64) -> &'static AtomicU64 {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49;
    &SPOTS[mixed as usize % PLACES]
}

/// Notes where the span `key` is.
#[inline]
pub(super) fn note(key: u64, spot: Spot) {
    place(key).store(spot.word(), Ordering::Release);
}

/// Where the span `key` is, if nobody else has taken its place; the entry itself says whether it is its.
#[inline]
pub(super) fn noted(key: u64) -> Option<Spot> {
    Spot::of(place(key).load(Ordering::Acquire))
}

/// The span `key` is over, which is in no request: it may have outlived its own.
#[inline]
pub(super) fn close_left(key: u64) {
    if let Some(spot) = noted(key)
        && let Some(ring) = at(spot.ring)
    {
        ring.close_left(spot, key);
    }
}

/// The span `key`, which was at `spot`, is over.
#[inline]
pub(super) fn forget(key: u64, spot: Spot) {
    let place = place(key);
    if place.load(Ordering::Relaxed) == spot.word() {
        place.store(0, Ordering::Relaxed);
    }
}
