//! ⑤ From evidence to a verdict: one rule per file, each a pure function.
//!
//! A rule says what it sees, with the confidence that the evidence carries, or nothing. The first
//! that is proved wins, else the most confident, else the earlier in the list.

mod blocked_thread;
mod client_stalled;
mod cpu_loop;
mod evidence;
mod hosts;
mod lost_wakeup;
mod machine_paused;
mod memory_growth;
mod not_accepted;
mod pool_full;
mod pool_wait;
mod repeating_calls;
mod silent_peer;
mod spin_loop;
mod starved;
mod stuck_await;
mod throttled;
mod undriven;
mod unknown;
mod unreachable_host;
mod workers_wedged;

pub(crate) use cpu_loop::was_not_seen;
pub(crate) use machine_paused::{Pause, Quota, Tracer, judge_pause};
pub(crate) use memory_growth::grows;
pub(crate) use not_accepted::{NotAccepted, judge_not_accepted};
pub(crate) use pool_full::{PoolFull, judge_pool_full};
pub(crate) use workers_wedged::{Stands, Wedged, judge_wedged};

pub use evidence::{
    Asked, At, CallSeen, CallTotal, Crowd, Growth, Hog, Look, Memory, Observed, OwnSocket, Polling,
    Received, Referred, StandingPoll,
};
use redhanded_report::{Confidence, Verdict};

type Rule = fn(&Observed) -> Option<Verdict>;

/// The rules, the more specific first.
const RULES: [Rule; 13] = [
    starved::rule,
    throttled::rule,
    cpu_loop::rule,
    pool_wait::rule,
    unreachable_host::rule,
    silent_peer::rule,
    blocked_thread::rule,
    spin_loop::rule,
    client_stalled::rule,
    repeating_calls::rule,
    lost_wakeup::rule,
    undriven::rule,
    stuck_await::rule,
];

/// The verdict on what was observed; never panics, never claims more than the evidence carries.
pub fn judge(observed: &Observed) -> Verdict {
    memory_growth::weigh(by_the_rules(observed), observed)
}

fn by_the_rules(observed: &Observed) -> Verdict {
    let mut best: Option<Verdict> = None;
    for verdict in RULES.iter().filter_map(|rule| rule(observed)) {
        if verdict.confidence == Confidence::Proved {
            return verdict;
        }
        if best
            .as_ref()
            .is_none_or(|b| verdict.confidence > b.confidence)
        {
            best = Some(verdict);
        }
    }
    best.unwrap_or_else(|| unknown::verdict(observed))
}

/// Milliseconds as people say them: `2.01 s`, `350 ms`.
pub(crate) fn spoken(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else {
        format!("{ms:.0} ms")
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
