//! Woken or ready, but its owner never polls it.

use super::{Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let Some(Look::Unanswered { for_ms, no_waker }) = observed.look else {
        return None;
    };
    let crowd = &observed.crowd;
    // Somebody runs, and may be what keeps it from its turn.
    if observed.poll.is_some() || !crowd.is_idle() {
        return None;
    }
    let age = spoken(observed.elapsed_ms);
    let cause = if no_waker && observed.polls == 0 {
        format!("{age} old and never polled: its future was made, and its owner does not drive it")
    } else if no_waker {
        return None;
    } else {
        format!(
            "{age} old; woken {} ago and not polled since, while all of its {} workers sleep: its owner does not drive it",
            spoken(for_ms),
            crowd.workers
        )
    };
    Some(Verdict::new(
        Class::Undriven,
        Role::Culprit,
        Confidence::Likely,
        cause,
    ))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::{Crowd, judge};
    use super::*;

    fn unanswered(no_waker: bool, polls: u64, crowd: Crowd) -> Observed {
        Observed {
            elapsed_ms: 2_000.0,
            polls,
            look: Some(Look::Unanswered {
                for_ms: 60.0,
                no_waker,
            }),
            crowd,
            ..Observed::default()
        }
    }

    fn idle() -> Crowd {
        Crowd {
            workers: 2,
            asleep: 2,
            ..Crowd::default()
        }
    }

    #[test]
    fn who_is_woken_while_all_workers_sleep_is_not_driven() {
        let verdict = judge(&unanswered(false, 3, idle()));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::Undriven, Confidence::Likely)
        );
        assert!(
            judge(&unanswered(true, 0, idle()))
                .cause
                .contains("never polled")
        );
    }

    /// The nearest innocents: a worker is busy with what nobody watches, or nothing is known of them.
    #[test]
    fn where_somebody_runs_it_may_have_to_wait() {
        let busy = Crowd {
            asleep: 1,
            ..idle()
        };
        for crowd in [busy, Crowd::default()] {
            let verdict = judge(&unanswered(false, 3, crowd));
            assert_eq!(
                (verdict.class, verdict.role),
                (Class::Unknown, Role::Bystander)
            );
        }
    }
}
