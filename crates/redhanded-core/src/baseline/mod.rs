//! What normal requests look like: a few of each route, for culprits to be compared with.
//!
//! Normal is what ends well without having been caught. Which request is kept is decided when it
//! is opened (a countdown of its thread, see [`Pace`]). When it closes, its facts are copied to a
//! desk, by a thread that finds it free and does not wait for it, without an allocation; the
//! watchdog and the clerk put what lies there into the reservoir. What is kept is as raw as the
//! slot had it, stays in memory, and is redacted before anything is compared.

mod desk;
mod pace;
mod reservoir;

pub(crate) use pace::{Pace, Tag};
#[cfg(all(test, not(redhanded_loom)))]
pub(crate) use reservoir::route_named;
pub(crate) use reservoir::{Sample, route_of};

use crate::engine::{BaselineStats, Engine};
use crate::registry::Slot;
use desk::Desk;
use pace::{Every, TAGS};
use parking_lot::Mutex;
use redhanded_capture::monotonic_ns;
use redhanded_report::How;
use reservoir::{Kept, Outcome};
use std::sync::atomic::{AtomicU64, Ordering};

/// The normal requests of one install.
#[derive(Debug)]
pub(crate) struct Baseline {
    desk: Desk,
    kept: Mutex<Kept>,
    every: [Every; TAGS],
    noise: Noise,
    missed: AtomicU64,
    forgotten: AtomicU64,
}

impl Baseline {
    pub(crate) fn new() -> Self {
        Self {
            desk: Desk::new(),
            kept: Mutex::new(Kept::default()),
            every: std::array::from_fn(|_| Every::new()),
            noise: Noise::default(),
            missed: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The countdown of a thread is over: the request in `slot` is to be kept, if it ends well. Returns for how
    /// many requests it stands; on average the next one does for no more than `at_most`.
    pub(crate) fn pick(&self, slot: &Slot, pace: &Pace, route: Tag, at_most: u32) -> u16 {
        let counted = pace.counted(route);
        let every = self.every.get(route.index());
        let every = every.map_or(1, |every| every.after(counted)).min(at_most);
        // Of random length, so that traffic with a rhythm of its own does not escape; as long on average.
        let next = 1 + self.noise.below(2 * u64::from(every) - 1) as u16;
        pace.rearm(route, next);
        slot.set_sampled(counted.into());
        counted
    }

    /// Puts what lies on the desk into the reservoir; next time, if anybody is at either. The
    /// watchdog does this, which waits for nobody.
    pub(crate) fn collect(&self) {
        if self.desk.is_empty() {
            return;
        }
        let Some(mut kept) = self.kept.try_lock() else {
            return;
        };
        self.desk.clear(|left, stands_for| {
            if kept.offer(left, stands_for, &self.noise) == Outcome::NoRoom {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Shows the samples of a route one by one; `show` is to be quick. Not for a request's thread.
    pub(crate) fn of_route(&self, route: u64, show: impl FnMut(&Sample)) {
        self.collect();
        self.kept.lock().of_route(route).iter().for_each(show);
    }

    /// What was known of a fingerprint's culprits had to make room.
    pub(crate) fn count_forgotten(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> BaselineStats {
        self.collect();
        let mut stats = BaselineStats::default();
        (stats.routes, stats.sampled) = self.kept.lock().counts();
        stats.missed = self.missed.load(Ordering::Relaxed);
        stats.forgotten = self.forgotten.load(Ordering::Relaxed);
        stats
    }
}

/// The picked request in `slot` ends `how`: leaves its facts if that was normal. Never waits.
#[cold]
#[inline(never)]
pub(crate) fn offer(slot: &Slot, how: How) {
    let due_ns = slot.due_ns();
    // Once caught it is never due again.
    let overdue = due_ns == u64::MAX || monotonic_ns() >= due_ns;
    if how != How::Completed || overdue || slot.hand.is_kept() {
        return;
    }
    if let Some(engine) = Engine::try_of(slot.key)
        && !engine.baseline.desk.leave(slot)
    {
        engine.baseline.missed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Random enough to choose samples (SplitMix64), for any thread, without a lock.
#[derive(Debug, Default)]
struct Noise(AtomicU64);

impl Noise {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
