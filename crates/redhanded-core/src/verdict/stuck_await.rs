//! Pending at a leaf that holds a waker and is not woken.

use super::hosts::{Wait, is_most_of_it};
use super::{Look, Observed, Polling, spin_loop, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let Some(Look::Polled {
        pending: true,
        leaves,
        woke_itself,
        budget_exhausted,
    }) = observed.look
    else {
        return None;
    };
    // The rules about hosts say more, where they say something.
    if leaves == 0 || observed.poll.is_some() || Wait::of(observed).is_some() {
        return None;
    }
    if let Some(polling) = &observed.polling {
        return Some(waits_again_and_again(observed, polling));
    }
    if leaves == 1
        && let Some(rests_ms) = only_just(observed)
    {
        return Some(has_only_begun(observed, rests_ms));
    }
    // A future that wakes itself, or one whose budget was used up, is pending for another reason
    // than its leaf; the place is right all the same.
    let confidence = if woke_itself || budget_exhausted {
        Confidence::Suspected
    } else {
        Confidence::Likely
    };
    let at = if leaves == 1 {
        "one leaf".to_owned()
    } else {
        format!("{leaves} leaves")
    };
    let cause = format!(
        "pending for up to {} after {} polls; polled once more, it registered its waker at {at} and stayed pending",
        spoken(observed.elapsed_ms),
        observed.polls
    );
    Some(Verdict::new(
        Class::StuckAwait,
        Role::Culprit,
        confidence,
        cause,
    ))
}

/// For how long it has waited here, if it got on before: that is less than half of its time. With several leaves one may
/// have been woken, and another be what it waits for.
fn only_just(observed: &Observed) -> Option<f64> {
    let rests_ms = observed.rests_ms?;
    (!is_most_of_it(rests_ms, observed)).then_some(rests_ms)
}

/// It is late, and not because of where it is now.
fn has_only_begun(observed: &Observed, rests_ms: f64) -> Verdict {
    let cause = format!(
        "{} old and pending, for {} only since it was polled last: it got on before",
        spoken(observed.elapsed_ms),
        spoken(rests_ms)
    );
    Verdict::new(
        Class::StuckAwait,
        Role::Bystander,
        Confidence::Suspected,
        cause,
    )
}

/// It waits at the same place again and again, and somebody wakes it each time: whether it gets on
/// is not known.
fn waits_again_and_again(observed: &Observed, polling: &Polling) -> Verdict {
    let moves = polling.frames_per_second > 0.0;
    let cause = format!(
        "{} old, polled {} times a second and pending each time it was looked at{}",
        spoken(observed.elapsed_ms),
        spin_loop::counted(polling),
        if moves { "; its body moves" } else { "" }
    );
    let role = if moves {
        Role::Bystander
    } else {
        Role::Culprit
    };
    Verdict::new(Class::StuckAwait, role, Confidence::Suspected, cause)
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::judge;
    use super::*;

    fn pending(leaves: u32, rests_ms: f64) -> Verdict {
        judge(&Observed {
            elapsed_ms: 2_000.0,
            slow_after_ms: 2_000.0,
            polls: 9,
            rests_ms: Some(rests_ms),
            look: Some(Look::Polled {
                pending: true,
                leaves,
                woke_itself: false,
                budget_exhausted: false,
            }),
            ..Observed::default()
        })
    }

    #[test]
    fn who_has_waited_here_for_most_of_its_time_is_stuck() {
        let verdict = pending(1, 1_900.0);
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::StuckAwait, Role::Culprit, Confidence::Likely)
        );
    }

    /// The nearest innocent: one that waited for many things, each for a while.
    #[test]
    fn who_got_on_a_moment_ago_is_late_for_another_reason() {
        let verdict = pending(1, 50.0);
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::StuckAwait, Role::Bystander)
        );
        assert_eq!(
            pending(2, 50.0).role,
            Role::Culprit,
            "a timer beside it may have woken it"
        );
    }
}
