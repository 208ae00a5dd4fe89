//! A clock for those who may not read one: the watchdogs set it, the hot path copies it.
//!
//! It is as fine as the rounds of the watchdog, a tenth of a second at most, and stands while no request is in flight.

use std::sync::atomic::{AtomicU64, Ordering};

static NOW_NS: AtomicU64 = AtomicU64::new(0);

/// Sets it to the time of the monotonic clock, in nanoseconds.
pub(crate) fn set(now_ns: u64) {
    NOW_NS.fetch_max(now_ns, Ordering::Relaxed);
}

/// When it was set last, in nanoseconds of the monotonic clock.
#[inline]
pub(crate) fn last_ns() -> u64 {
    NOW_NS.load(Ordering::Relaxed)
}
