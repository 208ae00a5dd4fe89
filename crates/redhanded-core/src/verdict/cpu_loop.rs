//! One poll has not returned, and its thread burns CPU.

use super::throttled::is_short_of_quota;
use super::{Observed, StandingPoll, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

/// A thread that is on the CPU, or would be if it were given one, for this share of the time.
const BUSY: f64 = 0.5;
const BUSY_PROVED: f64 = 0.9;
/// So much of the time it must have had a CPU for a proof, or its CPU time alone must make it late: who waits for
/// one may have little to do.
const RAN_PROVED: f64 = 0.5;
/// Who had one for less of the time may as well be innocent.
const RAN: f64 = 0.1;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let poll = observed.poll.as_ref()?;
    if is_short_of_quota(poll, observed.slow_after_ms) || was_not_seen(poll) {
        return None;
    }
    let mostly_on_cpu = poll.on_cpu > 0 && f64::from(poll.on_cpu) >= 0.8 * f64::from(poll.samples);
    let confidence = match poll.busy_share() {
        // Asleep in a few samples is fine: a loop of failing reads enters the kernel all the time.
        Some(share) if share >= BUSY => {
            let proved = share >= BUSY_PROVED
                && poll.samples >= 5
                && poll.shared_frames > 0
                && mostly_on_cpu;
            match ran(poll, observed.slow_after_ms) {
                Confidence::Proved if !proved => Confidence::Likely,
                ran => ran,
            }
        }
        Some(_) => return None,
        // No counters, or a window in which they may have stood still: the samples alone.
        None if mostly_on_cpu && poll.samples >= 3 => Confidence::Likely,
        None if mostly_on_cpu => Confidence::Suspected,
        None => return None,
    };
    let cpu = cpu_time(poll);
    let cause = format!(
        "thread {} has been on the CPU for {} in one poll{cpu}; {} of {} samples were on the CPU",
        poll.thread,
        spoken(poll.stood_ms),
        poll.on_cpu,
        poll.samples
    );
    Some(Verdict::new(
        Class::CpuLoop,
        Role::Culprit,
        confidence,
        cause,
    ))
}

/// It hardly had a CPU, and there is no sample: a thread that waits for a CPU would look the same whatever it does.
pub(crate) fn was_not_seen(poll: &StandingPoll) -> bool {
    let hardly_ran = poll.cpu_ms.is_some_and(|ms| ms < RAN * poll.window_ms);
    let waited = poll
        .run_queue_wait_ms
        .is_some_and(|ms| ms >= BUSY * poll.window_ms);
    poll.samples == 0 && hardly_ran && waited
}

/// What its CPU time is worth, on a machine where it may have waited for it.
fn ran(poll: &StandingPoll, slow_after_ms: f64) -> Confidence {
    let ran_ms = poll.cpu_ms.filter(|ms| *ms > 0.0).unwrap_or(0.0);
    let alone = slow_after_ms > 0.0 && ran_ms >= slow_after_ms;
    if ran_ms > 0.0 && (alone || ran_ms >= RAN_PROVED * poll.window_ms) {
        Confidence::Proved
    } else if ran_ms >= RAN * poll.window_ms {
        Confidence::Likely
    } else {
        Confidence::Suspected
    }
}

fn cpu_time(poll: &StandingPoll) -> String {
    let Some(cpu_ms) = poll.cpu_ms else {
        return String::new();
    };
    let waited = poll
        .run_queue_wait_ms
        .filter(|ms| *ms > cpu_ms)
        .map(|ms| format!(" and {} waiting for a CPU", spoken(ms)))
        .unwrap_or_default();
    format!(", {} of it as CPU time{waited}", spoken(cpu_ms))
}
