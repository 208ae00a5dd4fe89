//! One poll has not returned, because the CPU quota kept its thread from running: nobody is guilty.

use super::{Observed, StandingPoll, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

/// Who has used so much of its threshold as CPU time does not stand for want of a CPU alone.
const OWN: f64 = 0.25;
/// In the time that the quota has left it, who is to be accused had a CPU for so much.
const BUSY: f64 = 0.5;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let poll = observed.poll.as_ref()?;
    let slow_after_ms = observed.slow_after_ms;
    if !is_short_of_quota(poll, slow_after_ms) {
        return None;
    }
    let kept_ms = poll.mostly_throttled_ms()?;
    let cause = format!(
        "thread {} has been in one poll for {}, but used {} of CPU time: for up to {} the CPU quota of the process was used up",
        poll.thread,
        spoken(poll.stood_ms),
        spoken(poll.cpu_ms.unwrap_or(0.0)),
        spoken(kept_ms)
    );
    Some(Verdict::new(
        Class::MachinePaused,
        Role::Bystander,
        Confidence::Suspected,
        cause,
    ))
}

/// Whether the poll may stand because its thread is throttled: most of the time it was, and what it has used is
/// little. A loop uses all that the quota leaves it, and by and by that is much.
pub(super) fn is_short_of_quota(poll: &StandingPoll, slow_after_ms: f64) -> bool {
    let (Some(kept_ms), Some(cpu_ms)) = (poll.mostly_throttled_ms(), poll.cpu_ms) else {
        return false;
    };
    let is_busy = cpu_ms >= BUSY * (poll.window_ms - kept_ms);
    !(is_busy && cpu_ms >= OWN * slow_after_ms)
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use crate::verdict::judge;

    /// As recorded of 80 ms of work under a quota of 200 ms in every second.
    fn kept() -> Observed {
        let poll = StandingPoll {
            stood_ms: 571.0,
            window_ms: 565.0,
            thread: "tokio-rt-worker".into(),
            samples: 20,
            on_cpu: 20,
            cpu_ms: Some(13.0),
            run_queue_wait_ms: Some(550.0),
            throttled_ms: Some(1_000.0),
            timeslices: Some(9),
            shared_frames: 30,
            ..StandingPoll::default()
        };
        Observed {
            elapsed_ms: 571.0,
            slow_after_ms: 500.0,
            polls: 1,
            poll: Some(poll),
            ..Observed::default()
        }
    }

    fn with(cpu_ms: f64, wait_ms: f64, throttled_ms: f64) -> Observed {
        let mut observed = kept();
        let poll = observed.poll.as_mut().expect("inside");
        poll.window_ms = 2_000.0;
        (poll.cpu_ms, poll.run_queue_wait_ms) = (Some(cpu_ms), Some(wait_ms));
        poll.throttled_ms = Some(throttled_ms);
        observed
    }

    #[test]
    fn who_stands_because_it_is_throttled_is_no_culprit() {
        let verdict = judge(&kept());
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::MachinePaused, Role::Bystander, Confidence::Suspected)
        );
        assert_eq!(
            verdict.cause,
            "thread tokio-rt-worker has been in one poll for 571 ms, but used 13 ms of CPU time: for up to 550 ms the CPU quota of the process was used up"
        );
    }

    #[test]
    fn a_loop_under_a_quota_is_a_loop() {
        // On one of two CPUs, with half of 400 ms in every second.
        let verdict = judge(&with(400.0, 1_600.0, 3_200.0));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::CpuLoop, Confidence::Likely)
        );
        // Before it has used much, nobody can tell.
        let early = judge(&with(100.0, 1_900.0, 3_800.0));
        assert_eq!(early.role, Role::Bystander, "{}", early.cause);
    }

    #[test]
    fn a_little_throttling_excuses_nobody() {
        let verdict = judge(&with(100.0, 1_900.0, 300.0));
        assert_eq!(verdict.class, Class::CpuLoop, "{}", verdict.cause);
        let verdict = judge(&with(1_900.0, 100.0, 1_900.0));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::CpuLoop, Confidence::Proved),
            "another CPU's thread was throttled, this one ran"
        );
    }
}
