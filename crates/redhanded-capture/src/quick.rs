//! The monotonic clock in less than half the time: between two readings of it the processor's own counter is read.
//!
//! A thread counts ticks for about a millisecond, then asks the system again. Whatever happens to the counter (a suspended
//! machine, a virtual one that moves, a rate that is adjusted) is over with that, and the error is that of the rate in a
//! millisecond: some 10 ns in practice, 4 µs at worst. The rate is measured again and again against the system's clock by
//! whoever has the time, and is used only while two measurements agree.

use crate::monotonic_ns;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A thread counts at most so many ticks on its own.
const ALONE: u64 = 1 << 21;
/// Two clocks whose readings lie so many ticks apart at most were read at one moment.
const AT_ONCE: u64 = 1 << 12;
/// The rate is measured over this time at least.
const MEASURED_NS: u64 = 100_000_000;
/// Nanoseconds for each tick are counted in units of `2^-SHIFT`.
const SHIFT: u32 = 32;
/// Slower than 500 MHz no counter of a processor is, nor faster than 16 GHz.
const SCALES: std::ops::Range<u64> = 1 << (SHIFT - 4)..1 << (SHIFT + 1);

/// The rate in use; 0 for none.
static SCALE: AtomicU64 = AtomicU64::new(0);
static TUNING: Mutex<Tuning> = Mutex::new(Tuning::new());

thread_local! {
    // const and without Drop: subscribers are called until the very end of a thread
    static ANCHOR: Anchor = const { Anchor::new() };
}

/// Nanoseconds on the clock of [`monotonic_ns`], read more quickly once [`tune_quick_ns`] was called a few times: for who
/// reads it many times a request.
///
/// It never goes backwards on a thread. It may differ from that clock by some 10 ns.
///
/// ```
/// let before = redhanded_capture::quick_ns();
/// assert!(redhanded_capture::quick_ns() >= before);
/// ```
#[inline]
pub fn quick_ns() -> u64 {
    let quick = ANCHOR.try_with(|anchor| anchor.quick_ns());
    quick.unwrap_or_else(|_| monotonic_ns())
}

/// Measures the rate that [`quick_ns`] goes by; to be called now and then by somebody who watches. Costs next to nothing
/// within a tenth of a second.
///
/// Where the system does not trust the processor's counter with its own clock, nothing becomes quicker.
pub fn tune_quick_ns() {
    // Somebody else who does it just now does it as well.
    if let Ok(mut tuning) = TUNING.try_lock()
        && tuning.is_trusted()
        && tuning.is_due(monotonic_ns())
        && let Some((ticks, now_ns)) = both()
    {
        SCALE.store(tuning.measure(ticks, now_ns), Ordering::Relaxed);
    }
}

/// What was seen of counter and clock.
struct Tuning {
    /// The system keeps its own clock by this counter, so that it runs evenly and alike on all cores.
    trusted: Option<bool>,
    ticks: u64,
    at_ns: u64,
    /// The rate as it was measured last; 0 for none.
    scale: u64,
}

impl Tuning {
    const fn new() -> Self {
        Self {
            trusted: None,
            ticks: 0,
            at_ns: 0,
            scale: 0,
        }
    }

    fn is_trusted(&mut self) -> bool {
        *self.trusted.get_or_insert_with(counter::is_trusted)
    }

    fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.at_ns) >= MEASURED_NS
    }

    /// Counter and clock at one moment; the rate to be used from now on, if this one and the last agree.
    fn measure(&mut self, ticks: u64, now_ns: u64) -> u64 {
        let (before, known) = ((self.ticks, self.at_ns), self.scale);
        (self.ticks, self.at_ns) = (ticks, now_ns);
        let ticks = ticks.wrapping_sub(before.0);
        let scaled = u128::from(now_ns.saturating_sub(before.1)) << SHIFT;
        let scale = scaled.checked_div(ticks.into()).unwrap_or(0);
        let scale = u64::try_from(scale).ok().filter(|s| SCALES.contains(s));
        self.scale = scale.unwrap_or(0);
        let agree = self.scale.abs_diff(known) <= known / 1000;
        if agree { self.scale } else { 0 }
    }
}

/// Where a thread counts from.
struct Anchor {
    ticks: Cell<u64>,
    ns: Cell<u64>,
    /// 0 where there is nothing to count from.
    scale: Cell<u64>,
    /// What it was told last.
    told_ns: Cell<u64>,
}

impl Anchor {
    const fn new() -> Self {
        Self {
            ticks: Cell::new(0),
            ns: Cell::new(0),
            scale: Cell::new(0),
            told_ns: Cell::new(0),
        }
    }

    #[inline]
    fn quick_ns(&self) -> u64 {
        let scale = self.scale.get();
        if scale == 0 && SCALE.load(Ordering::Relaxed) == 0 {
            // As quickly as without all this, where there never is a rate.
            let now_ns = monotonic_ns().max(self.told_ns.get());
            self.told_ns.set(now_ns);
            return now_ns;
        }
        let counted = (scale != 0).then(|| self.count(counter::ticks(), scale));
        let now_ns = counted.flatten().unwrap_or_else(|| self.ask());
        self.told_ns.set(now_ns);
        now_ns
    }

    /// What it is at `ticks`, unless that is too far from where it was known.
    #[inline]
    fn count(&self, ticks: u64, scale: u64) -> Option<u64> {
        let since = ticks.wrapping_sub(self.ticks.get());
        let since_ns = since.wrapping_mul(scale) >> SHIFT;
        (since < ALONE).then(|| self.ns.get().wrapping_add(since_ns))
    }

    /// Asks the system, and counts from there if there is a rate.
    #[cold]
    fn ask(&self) -> u64 {
        let scale = SCALE.load(Ordering::Relaxed);
        let seen = if scale == 0 { None } else { both() };
        let (ticks, now_ns) = seen.unwrap_or_else(|| (0, monotonic_ns()));
        let now_ns = now_ns.max(self.told_ns.get());
        self.ticks.set(ticks);
        self.ns.set(now_ns);
        self.scale.set(seen.map_or(0, |_| scale));
        now_ns
    }
}

/// Counter and clock at one moment; `None` if the thread was put aside in between each time.
fn both() -> Option<(u64, u64)> {
    (0..4).find_map(|_| {
        let before = counter::ticks();
        let now_ns = monotonic_ns();
        let between = counter::ticks().wrapping_sub(before);
        (between < AT_ONCE).then(|| (before.wrapping_add(between / 2), now_ns))
    })
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(redhanded_stub)))]
mod counter {
    /// Whether the kernel keeps its own clock by it; who cannot see that does not trust it.
    pub(super) fn is_trusted() -> bool {
        let kept_by = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(kept_by).is_ok_and(|name| name.trim() == "tsc")
    }

    #[inline]
    pub(super) fn ticks() -> u64 {
        // SAFETY: every x86_64 processor has it. Where reading it is forbidden to a process, reading the clock, which a
        // kernel that keeps that by this counter does in our address space, is as well.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(redhanded_stub))))]
mod counter {
    pub(super) fn is_trusted() -> bool {
        false
    }

    pub(super) fn ticks() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn tuned() -> Tuning {
        let mut tuning = Tuning::new();
        for second in 1..=3 {
            tuning.measure(second * 2 * SECOND, second * SECOND);
        }
        tuning
    }

    #[test]
    fn a_rate_is_used_when_it_was_measured_twice() {
        let mut tuning = Tuning::new();
        let mut at = |second| tuning.measure(second * 2 * SECOND, second * SECOND);
        // The first is that from zero on.
        assert_eq!([at(1), at(2)], [0, 1 << (SHIFT - 1)]);
    }

    #[test]
    fn a_counter_that_went_on_while_the_clock_stood_is_measured_anew() {
        let mut tuning = tuned();
        let slept = 60 * 2 * SECOND;
        let mut at = |second| tuning.measure(second * 2 * SECOND + slept, second * SECOND);
        assert_eq!([at(4), at(5), at(6)], [0, 0, 1 << (SHIFT - 1)]);
    }

    #[test]
    fn a_counter_that_began_anew_is_measured_anew() {
        let mut tuning = tuned();
        let mut at = |second: u64| tuning.measure((second - 4) * 2 * SECOND, second * SECOND);
        assert_eq!([at(4), at(5), at(6)], [0, 0, 1 << (SHIFT - 1)]);
    }

    #[test]
    fn a_rate_that_drifts_is_followed() {
        let mut tuning = tuned();
        let scale = tuning.measure(8 * SECOND, 4 * SECOND + SECOND / 2000);
        assert!(scale > 1 << (SHIFT - 1), "{scale}");
    }

    #[test]
    fn nobody_counts_from_far_away_nor_backwards() {
        let anchor = Anchor::new();
        anchor.ticks.set(1000);
        anchor.ns.set(500);
        let count = |ticks| anchor.count(ticks, 1 << (SHIFT - 1));
        assert_eq!(count(1100), Some(550));
        assert_eq!(count(1000 + ALONE), None);
        assert_eq!(count(999), None);
    }

    /// Long enough for the rate to be measured, on a machine whose counter is trusted.
    fn is_quick() -> bool {
        let begun_ns = monotonic_ns();
        while SCALE.load(Ordering::Relaxed) == 0 && monotonic_ns() < begun_ns + 5 * SECOND {
            tune_quick_ns();
            std::thread::yield_now();
        }
        SCALE.load(Ordering::Relaxed) != 0
    }

    #[test]
    fn it_is_the_systems_clock() {
        assert_eq!(is_quick(), counter::is_trusted());
        for _ in 0..1_000_000 {
            let (before, now_ns, after) = (monotonic_ns(), quick_ns(), monotonic_ns());
            assert!(
                (before.saturating_sub(4_000)..=after + 4_000).contains(&now_ns),
                "{before} {now_ns} {after}"
            );
        }
    }

    #[test]
    fn it_never_goes_backwards() {
        is_quick();
        let mut last = 0;
        for _ in 0..1_000_000 {
            let now_ns = quick_ns();
            assert!(now_ns >= last, "{last} {now_ns}");
            last = now_ns;
            tune_quick_ns();
        }
    }
}
