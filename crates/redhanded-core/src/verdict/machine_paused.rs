//! The process did not run for a while: nobody is guilty, and this says why.

use super::spoken;
use redhanded_report::{Class, Confidence, Role, Verdict};

/// A counter that has grown by this share of the time lost explains it.
const MOSTLY: f64 = 0.5;
/// A thread that waited for a CPU for less than this share of the time did not want to run.
const HARDLY: f64 = 0.1;

/// Time in which the watchdog should have run and did not, and what the kernel counted meanwhile.
/// What it does not count here is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pause {
    /// Of the running clock, in milliseconds.
    pub(crate) overslept_ms: f64,
    /// In which that clock stood still too, in milliseconds.
    pub(crate) suspended_ms: f64,
    /// The watchdog's thread wanted a CPU and had none, in milliseconds.
    pub(crate) run_queue_wait_ms: Option<f64>,
    /// What the CPU quota has done.
    pub(crate) quota: Option<Quota>,
    /// Who traces this process now.
    pub(crate) tracer: Option<Tracer>,
}

/// What a CPU quota has done meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quota {
    /// How long it has throttled the process, in milliseconds, summed over CPUs.
    pub(crate) throttled_ms: f64,
    /// In how many periods it did.
    pub(crate) periods: u64,
    /// Over how many CPUs the sum may go.
    pub(crate) cpus: u32,
}

/// A process that traces this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tracer {
    /// Its process id.
    pub(crate) pid: u32,
    /// Its name, such as `gdb`.
    pub(crate) name: Option<String>,
}

/// What stopped the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// The machine was suspended.
    Suspend,
    /// The CPU quota of its control group was used up.
    Quota,
    /// A tracer.
    Debugger,
    /// A stop signal, a frozen control group, a virtual machine that was paused: alike from inside.
    Stopped,
}

impl Pause {
    /// All of it, in milliseconds.
    pub(crate) fn lasted_ms(&self) -> f64 {
        self.overslept_ms + self.suspended_ms
    }
}

/// Why the process did not run; `None` when the machine had other things to do: a thread that waits
/// for a CPU most of the time is on a crowded machine, not on a paused one.
pub(crate) fn judge_pause(pause: &Pause) -> Option<(Why, Verdict)> {
    let (why, confidence, what) = suspend(pause)
        .or_else(|| quota(pause))
        .or_else(|| unless_crowded(pause))?;
    let cause = format!(
        "the process did not run for {}: {what}",
        spoken(pause.lasted_ms())
    );
    let verdict = Verdict::new(Class::MachinePaused, Role::Bystander, confidence, cause);
    Some((why, verdict))
}

type Finding = (Why, Confidence, String);

fn suspend(pause: &Pause) -> Option<Finding> {
    let share = pause.suspended_ms / pause.lasted_ms();
    (share >= MOSTLY).then(|| {
        let what = format!(
            "the machine was suspended for {}",
            spoken(pause.suspended_ms)
        );
        (Why::Suspend, Confidence::Proved, what)
    })
}

/// Before the wait for a CPU: a thread of a throttled group waits as well.
fn quota(pause: &Pause) -> Option<Finding> {
    let quota = pause.quota.as_ref().filter(|quota| quota.periods > 0)?;
    let share = quota.throttled_ms / pause.overslept_ms;
    if share.is_nan() || share < MOSTLY {
        return None;
    }
    // The sum may be that of other CPUs than ours; only when each had its share is it proved.
    let everywhere = share >= MOSTLY * f64::from(quota.cpus) && quota.cpus > 0;
    let confidence = if everywhere {
        Confidence::Proved
    } else {
        Confidence::Likely
    };
    let plural = if quota.periods == 1 { "" } else { "s" };
    let what = format!(
        "its CPU quota was used up in {} period{plural} and kept it from its CPUs for {} in sum",
        quota.periods,
        spoken(quota.throttled_ms)
    );
    Some((Why::Quota, confidence, what))
}

fn unless_crowded(pause: &Pause) -> Option<Finding> {
    let waited = pause.run_queue_wait_ms.map(|ms| ms / pause.overslept_ms);
    if waited.is_some_and(|share| share >= MOSTLY) {
        return None;
    }
    let confidence = match waited {
        Some(share) if share < HARDLY => Confidence::Likely,
        _ => Confidence::Suspected,
    };
    let Some(tracer) = &pause.tracer else {
        let what = "stopped, or its container or virtual machine was".to_owned();
        return Some((Why::Stopped, confidence, what));
    };
    let name = tracer.name.as_deref().unwrap_or("unknown");
    let what = format!(
        "a debugger is attached ({name}, process {}) and may have stopped it",
        tracer.pid
    );
    Some((Why::Debugger, confidence, what))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As recorded: SIGSTOP for 5 s.
    fn stopped() -> Pause {
        Pause {
            overslept_ms: 4_998.915,
            run_queue_wait_ms: Some(0.02),
            quota: Some(Quota {
                cpus: 2,
                ..Quota::default()
            }),
            ..Pause::default()
        }
    }

    fn found(pause: &Pause) -> Option<(Why, Confidence)> {
        judge_pause(pause).map(|(why, verdict)| (why, verdict.confidence))
    }

    #[test]
    fn a_stop_and_a_virtual_machine_that_stood_look_alike() {
        assert_eq!(found(&stopped()), Some((Why::Stopped, Confidence::Likely)));
        let (_, verdict) = judge_pause(&stopped()).expect("a pause");
        assert_eq!(
            verdict.cause,
            "the process did not run for 5.00 s: stopped, or its container or virtual machine was"
        );
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::MachinePaused, Role::Bystander)
        );
    }

    #[test]
    fn without_counters_it_is_a_suspicion() {
        let mut pause = stopped();
        (pause.run_queue_wait_ms, pause.quota) = (None, None);
        assert_eq!(found(&pause), Some((Why::Stopped, Confidence::Suspected)));
    }

    /// As recorded beside a loop of a real-time priority on the same CPU.
    #[test]
    fn a_crowded_machine_is_not_a_paused_one() {
        let mut pause = stopped();
        (pause.overslept_ms, pause.run_queue_wait_ms) = (909.191, Some(909.072));
        assert_eq!(found(&pause), None);
        pause.tracer = Some(Tracer::default());
        assert_eq!(found(&pause), None, "whoever looks on");
        pause.run_queue_wait_ms = Some(200.0);
        assert_eq!(
            found(&pause).map(|(_, confidence)| confidence),
            Some(Confidence::Suspected),
            "both were at work"
        );
    }

    /// As recorded on two busy CPUs with a quota of 100 ms in every second.
    #[test]
    fn a_used_up_quota_is_proved_by_its_counter() {
        let mut pause = stopped();
        (pause.overslept_ms, pause.run_queue_wait_ms) = (874.275, Some(874.145));
        pause.quota = Some(Quota {
            throttled_ms: 1_753.234,
            periods: 1,
            cpus: 2,
        });
        assert_eq!(found(&pause), Some((Why::Quota, Confidence::Proved)));
        let (_, verdict) = judge_pause(&pause).expect("a pause");
        assert_eq!(
            verdict.cause,
            "the process did not run for 874 ms: its CPU quota was used up in 1 period and kept it from its CPUs for 1.75 s in sum"
        );
        pause.quota.as_mut().expect("set above").cpus = 64;
        assert_eq!(
            found(&pause),
            Some((Why::Quota, Confidence::Likely)),
            "two of sixty-four"
        );
        pause.quota.as_mut().expect("set above").throttled_ms = 90.0;
        assert_eq!(found(&pause), None, "a little throttled, and crowded");
    }

    #[test]
    fn a_suspended_machine_is_proved_by_its_clocks() {
        let mut pause = stopped();
        (pause.overslept_ms, pause.suspended_ms) = (12.0, 28_800_000.0);
        assert_eq!(found(&pause), Some((Why::Suspend, Confidence::Proved)));
    }

    #[test]
    fn a_debugger_has_a_name() {
        let mut pause = stopped();
        pause.tracer = Some(Tracer {
            pid: 4711,
            name: Some("gdb".into()),
        });
        assert_eq!(found(&pause), Some((Why::Debugger, Confidence::Likely)));
        let (_, verdict) = judge_pause(&pause).expect("a pause");
        assert!(
            verdict.cause.contains("gdb, process 4711"),
            "{}",
            verdict.cause
        );
    }

    proptest! {
        #[test]
        fn nothing_is_proved_without_a_counter_and_nobody_is_guilty(
            overslept_ms: f64, suspended_ms: f64, run_queue_wait_ms: Option<f64>,
            quota in proptest::option::of((any::<f64>(), any::<u64>(), any::<u32>())), traced: bool,
        ) {
            let pause = Pause {
                overslept_ms, suspended_ms, run_queue_wait_ms,
                quota: quota.map(|(throttled_ms, periods, cpus)| Quota { throttled_ms, periods, cpus }),
                tracer: traced.then(Tracer::default),
            };
            if let Some((why, verdict)) = judge_pause(&pause) {
                prop_assert_eq!(verdict.role, Role::Bystander);
                if verdict.confidence == Confidence::Proved {
                    prop_assert!(matches!(why, Why::Suspend | Why::Quota));
                }
            }
        }
    }
}
