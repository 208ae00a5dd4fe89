//! Time that is nobody's fault: suspend, SIGSTOP, a debugger, a machine that did not let us run.
//!
//! The watchdog knows when it meant to wake. What it overslept is charged to no request: whatever
//! kept this thread from running may have kept all others too.

use std::collections::VecDeque;

/// Lateness below this is ordinary scheduling.
const ORDINARY_NS: u64 = 100_000_000;
/// How many pauses are remembered; older ones are forgotten, which can only report a very old
/// request earlier than it deserves.
const REMEMBERED: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Start and length, oldest first.
    list: VecDeque<(u64, u64)>,
    /// When the watchdog last meant to be running.
    expected_ns: u64,
}

impl Pauses {
    /// The watchdog runs at `now_ns`; returns the length of the pause that it noticed.
    pub(super) fn awake(&mut self, now_ns: u64) -> Option<u64> {
        let overslept = now_ns.saturating_sub(self.expected_ns);
        if overslept < ORDINARY_NS {
            return None;
        }
        if self.list.len() == REMEMBERED {
            self.list.pop_front();
        }
        self.list.push_back((self.expected_ns, overslept));
        Some(overslept)
    }

    /// How much later than it meant to a watchdog runs that runs at `now_ns`.
    pub(super) fn late_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.expected_ns)
    }

    /// The watchdog means to run again at `at_ns`.
    pub(super) fn expect(&mut self, at_ns: u64) {
        self.expected_ns = at_ns;
    }

    /// It means to run again at `at_ns`, after a round that ended at `ended_ns`, and that may have taken
    /// until `may_end_ns`: a process that is stopped in the midst of a round has paused as well.
    pub(super) fn expect_after_round(&mut self, at_ns: u64, ended_ns: u64, may_end_ns: u64) {
        self.expect(at_ns.max(ended_ns.min(may_end_ns)));
    }

    /// Age of something that began at `since_ns`, without the pauses in between.
    pub(super) fn charged(&self, since_ns: u64, now_ns: u64) -> u64 {
        let paused: u64 = self
            .list
            .iter()
            .map(|&(at, length)| (at + length).saturating_sub(at.max(since_ns)))
            .sum();
        now_ns.saturating_sub(since_ns).saturating_sub(paused)
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    const MS: u64 = 1_000_000;

    #[test]
    fn a_round_in_which_the_process_was_stopped_is_a_pause() {
        let mut pauses = Pauses::default();
        // Meant to run at 1,001; began its round at 1,000, with two samples of 40 ms at most.
        pauses.expect_after_round(1_001 * MS, 2_600 * MS, 1_080 * MS);
        assert_eq!(pauses.awake(2_600 * MS), Some(1_520 * MS));
        // A round that waits for its samples is none.
        pauses.expect_after_round(3_001 * MS, 3_079 * MS, 3_080 * MS);
        assert_eq!(pauses.awake(3_080 * MS), None);
    }

    #[test]
    fn what_the_watchdog_overslept_is_charged_to_nobody() {
        let mut pauses = Pauses::default();
        pauses.expect(1_000 * MS);
        assert_eq!(pauses.awake(1_020 * MS), None, "ordinary lateness");
        pauses.expect(2_000 * MS);
        assert_eq!(pauses.awake(9_000 * MS), Some(7_000 * MS));
        assert_eq!(pauses.charged(1_500 * MS, 9_100 * MS), 600 * MS);
        assert_eq!(
            pauses.charged(9_000 * MS, 9_100 * MS),
            100 * MS,
            "born after it"
        );
        assert_eq!(
            pauses.charged(4_000 * MS, 9_100 * MS),
            100 * MS,
            "born inside it"
        );
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut pauses = Pauses::default();
        for i in 1..1_000 {
            pauses.expect(i * 1_000 * MS);
            pauses.awake(i * 1_000 * MS + 500 * MS);
        }
        assert_eq!(pauses.list.len(), REMEMBERED);
    }
}
