//! Trouble that no request is guilty of: noticed, counted, and told in a record of its own.

use super::Watchdog;
use crate::case::{Message, Sampled, Trouble};
use crate::family::new_id;
use crate::verdict::judge_pause;
use redhanded_report::{Evidence, Machine, Verdict};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

/// A pause that is worth a record, within these bounds: half of the shortest threshold, because
/// more than that makes people ask why everybody was slow.
const LONG_NS: std::ops::RangeInclusive<u64> = 250_000_000..=1_000_000_000;

/// How long a pause must be to have a record.
pub(super) fn long_pause_ns(shortest_ns: u64) -> u64 {
    (shortest_ns / 2).clamp(*LONG_NS.start(), *LONG_NS.end())
}

/// Trouble as it is told.
pub(super) struct Told {
    pub(super) verdict: Verdict,
    pub(super) lasted_ns: u64,
    pub(super) evidence: Evidence,
    pub(super) stacks: Vec<Sampled>,
}

impl Watchdog {
    /// Time that went by without us is charged to nobody; a long pause has a record that says why.
    ///
    /// With no request in flight the watchdog is parked, and a pause goes by unnoticed.
    pub(super) fn notice_pause(&mut self, now_ns: u64) {
        let overslept_ns = self.pauses.awake(now_ns);
        if let Some(overslept_ns) = overslept_ns {
            self.standing.after_pause(overslept_ns);
            self.growths.after_pause(overslept_ns);
            self.listeners.start_over();
            self.workers.start_over();
            self.health.after_pause(overslept_ns);
            self.open
                .iter_mut()
                .for_each(|case| case.start_over(now_ns));
        }
        let (overslept_ns, suspended_ns) = (overslept_ns.unwrap_or(0), self.clocks.suspended());
        let lasted_ns = overslept_ns.saturating_add(suspended_ns);
        if lasted_ns < self.long_pause_ns {
            return;
        }
        let pause = self.clocks.pause(overslept_ns, suspended_ns);
        if let Some((why, verdict)) = judge_pause(&pause) {
            let mut machine = Machine::default();
            machine.cpu_throttled_ms = pause.quota.map(|quota| quota.throttled_ms);
            let mut evidence = Evidence::default();
            evidence.machine = Some(machine);
            self.file_trouble(&why, verdict, lasted_ns, evidence, now_ns);
        }
    }

    /// Hands a record without a request to the clerk, unless its like have had lines enough: five a
    /// minute, as requests have. All are counted. `kind` tells one trouble of a class from another.
    pub(super) fn file_trouble(
        &mut self,
        kind: &impl Hash,
        verdict: Verdict,
        lasted_ns: u64,
        evidence: Evidence,
        now_ns: u64,
    ) {
        let told = Told {
            verdict,
            lasted_ns,
            evidence,
            stacks: Vec::new(),
        };
        self.file_told(kind, told, now_ns);
    }

    /// The same with stacks.
    pub(super) fn file_told(&mut self, kind: &impl Hash, told: Told, now_ns: u64) {
        let verdict = told.verdict;
        let mut hasher = DefaultHasher::new();
        (verdict.class.as_str(), kind).hash(&mut hasher);
        let fingerprint = hasher.finish();
        let booked = self.storm.book_one(fingerprint, now_ns);
        self.engine.counts.evicted(self.storm.take_evicted());
        if !booked.line {
            return;
        }
        self.send(Message::Process(Box::new(Trouble {
            id: new_id(),
            fingerprint,
            occurrences: booked.occurrences,
            at: SystemTime::now(),
            lasted_ns: told.lasted_ns,
            verdict,
            evidence: told.evidence,
            stacks: told.stacks,
        })));
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    const MS: u64 = 1_000_000;

    #[test]
    fn half_of_the_shortest_threshold_within_reason() {
        let long = |shortest_ms| long_pause_ns(shortest_ms * MS) / MS;
        assert_eq!(
            [20, 500, 1_000, 2_000, 60_000].map(long),
            [250, 250, 500, 1_000, 1_000]
        );
    }
}
