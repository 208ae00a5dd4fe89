//! More samples of one poll, where those that are there disagree: which functions nearly all samples share is
//! what a fingerprint is made of, and five or twenty of them leave too much to luck.

use crate::case::Sampled;
use redhanded_capture::monotonic_ns;
use std::time::Duration;

/// Samples of one burst, and how long it may take.
const SAMPLES: usize = 80;
const LASTS_NS: u64 = 30_000_000;
/// Time between two of them: a loop should have turned meanwhile.
const APART: Duration = Duration::from_micros(50);
/// So many bursts may follow each other; then one a second. A burst takes some 10 ms of CPU time.
const IN_A_ROW: u64 = 4;
const EVERY_NS: u64 = 1_000_000_000;

/// How many bursts may be taken now.
#[derive(Debug)]
pub(super) struct Bursts {
    /// The next burst may be taken from then on; so far in the past as there are more to follow it.
    next_ns: u64,
}

impl Bursts {
    pub(super) fn new() -> Self {
        Self { next_ns: 0 }
    }

    /// Whether a burst may be taken at `now_ns`; counts it.
    pub(super) fn may_take(&mut self, now_ns: u64) -> bool {
        let earliest_ns = now_ns.saturating_sub((IN_A_ROW - 1) * EVERY_NS);
        self.next_ns = self.next_ns.max(earliest_ns);
        let may = self.next_ns <= now_ns;
        self.next_ns += if may { EVERY_NS } else { 0 };
        may
    }
}

/// Whether samples of a thread have gone different ways.
pub(super) fn disagree(stacks: &[Sampled]) -> bool {
    let functions = |s: &'_ Sampled| {
        s.stack
            .frames
            .iter()
            .map(|f| f.function)
            .collect::<Vec<_>>()
    };
    let mut all = stacks.iter().map(functions);
    let first = all.next();
    all.any(|other| Some(&other) != first.as_ref())
}

/// What `take` brings, again and again until it brings nothing, or there are enough.
pub(super) fn take<T>(mut take: impl FnMut() -> Option<T>) -> Vec<T> {
    let end_ns = monotonic_ns().saturating_add(LASTS_NS);
    let mut taken = Vec::new();
    while taken.len() < SAMPLES && monotonic_ns() < end_ns {
        let Some(sample) = take() else { break };
        taken.push(sample);
        std::thread::sleep(APART);
    }
    taken
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn four_in_a_row_and_then_one_a_second() {
        let mut bursts = Bursts::new();
        let begin = 100 * EVERY_NS;
        let taken = (0..10).filter(|at| bursts.may_take(begin + at)).count();
        assert_eq!(taken as u64, IN_A_ROW);
        assert!(!bursts.may_take(begin + EVERY_NS / 2));
        let later = (1..=10)
            .filter(|at| bursts.may_take(begin + at * EVERY_NS))
            .count();
        assert_eq!(later, 10);
        let rested = (0..10)
            .filter(|at| bursts.may_take(200 * EVERY_NS + at))
            .count();
        assert_eq!(rested as u64, IN_A_ROW, "not more after a rest");
    }

    #[test]
    fn a_burst_ends_with_the_poll() {
        let mut left = 3_u32;
        let taken = take(|| {
            left = left.checked_sub(1)?;
            Some(left)
        });
        assert_eq!(taken, [2, 1, 0]);
        assert!(take(|| Some(())).len() <= SAMPLES);
    }
}
