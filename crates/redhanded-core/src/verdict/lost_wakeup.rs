//! Pending, and nothing can wake it any more; or nobody has, though it could go on.

use super::{Asked, Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

/// Polls on end in which nobody kept the waker.
const SILENT_POLLS: u32 = 2;
/// It rested for so long before it was asked: who is woken in time is polled within that.
const RESTED_MS: f64 = 8.0;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    // A call that is open has its socket, and who waits inside a set is woken by its task.
    if observed.poll.is_some() || observed.polling.is_some() {
        return None;
    }
    let Some(Look::Polled {
        pending,
        leaves,
        woke_itself: false,
        budget_exhausted: false,
    }) = observed.look
    else {
        return None;
    };
    let (confidence, cause) = match (pending, leaves) {
        (false, _) => was_ready(observed)?,
        (true, 0) => keeps_no_waker(observed)?,
        (true, _) => return None,
    };
    Some(Verdict::new(
        Class::LostWakeup,
        Role::Culprit,
        confidence,
        cause,
    ))
}

/// What it waited for had come: one more poll was enough. A wake-up that came at the same moment would
/// look the same, but one that was under way for longer would have been served before ours.
fn was_ready(observed: &Observed) -> Option<(Confidence, String)> {
    let Asked {
        rested_ms,
        answered_ms,
        ..
    } = observed.asked?;
    if !(rested_ms >= RESTED_MS && answered_ms * 2.0 <= rested_ms) {
        return None;
    }
    let cause = format!(
        "{} old and pending for no reason: what it waited for had come, and nobody had woken it; one more poll was enough, \
         {answered_ms:.1} ms after we asked",
        spoken(observed.elapsed_ms)
    );
    Some((Confidence::Likely, cause))
}

/// Whoever returns "pending" has to keep the waker of that very poll.
fn keeps_no_waker(observed: &Observed) -> Option<(Confidence, String)> {
    let polls = observed.asked?.silent_polls;
    if polls < SILENT_POLLS {
        return None;
    }
    let cause = format!(
        "pending for up to {}; polled {polls} times more, nobody kept its waker: nothing can wake it",
        spoken(observed.elapsed_ms)
    );
    Some((Confidence::Likely, cause))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::judge;
    use super::*;

    fn looked(pending: bool, leaves: u32, asked: Asked) -> Observed {
        Observed {
            elapsed_ms: 2_000.0,
            slow_after_ms: 2_000.0,
            polls: 3,
            look: Some(Look::Polled {
                pending,
                leaves,
                woke_itself: false,
                budget_exhausted: false,
            }),
            asked: Some(asked),
            ..Observed::default()
        }
    }

    fn asked(rested_ms: f64, answered_ms: f64, silent_polls: u32) -> Asked {
        Asked {
            rested_ms,
            answered_ms,
            silent_polls,
        }
    }

    #[test]
    fn who_goes_on_when_asked_has_missed_a_wake_up() {
        let verdict = judge(&looked(false, 0, asked(12.0, 0.2, 0)));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::LostWakeup, Role::Culprit, Confidence::Likely)
        );
    }

    /// The nearest innocents: its own wake-up may have been under way.
    #[test]
    fn who_was_woken_at_the_same_moment_is_not_accused() {
        for asked in [
            asked(1.0, 0.2, 0),
            asked(12.0, 9.0, 0),
            asked(f64::NAN, 0.1, 0),
        ] {
            let verdict = judge(&looked(false, 0, asked));
            assert_eq!(
                (verdict.class, verdict.role),
                (Class::Unknown, Role::Bystander)
            );
        }
    }

    #[test]
    fn who_keeps_no_waker_twice_cannot_be_woken() {
        assert_eq!(
            judge(&looked(true, 0, asked(12.0, 0.2, 2))).class,
            Class::LostWakeup
        );
        assert_eq!(
            judge(&looked(true, 0, asked(12.0, 0.2, 1))).class,
            Class::Unknown
        );
        assert_eq!(
            judge(&looked(true, 1, asked(12.0, 0.2, 2))).class,
            Class::StuckAwait
        );
    }
}
