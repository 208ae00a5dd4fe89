//! One poll has not returned, and its thread burns CPU.

use super::{Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

/// A thread that is on the CPU, or would be if it were given one, for this share of the time.
const BUSY: f64 = 0.5;
const BUSY_PROVED: f64 = 0.9;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let poll = observed.poll.as_ref()?;
    let mostly_on_cpu = poll.on_cpu > 0 && f64::from(poll.on_cpu) >= 0.8 * f64::from(poll.samples);
    let confidence = match poll.busy_share() {
        // Asleep in a few samples is fine: a loop of failing reads enters the kernel all the time.
        Some(share) if share >= BUSY => {
            let proved = share >= BUSY_PROVED
                && poll.samples >= 5
                && poll.shared_frames > 0
                && mostly_on_cpu;
            if proved && poll.cpu_ms > Some(0.0) {
                Confidence::Proved
            } else {
                Confidence::Likely
            }
        }
        Some(_) => return None,
        // No counters, or a window in which they may have stood still: the samples alone.
        None if mostly_on_cpu && poll.samples >= 3 => Confidence::Likely,
        None if mostly_on_cpu => Confidence::Suspected,
        None => return None,
    };
    let cpu = poll
        .cpu_ms
        .map(|ms| format!(", {} of it as CPU time", spoken(ms)))
        .unwrap_or_default();
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
