//! Pending at a leaf that holds a waker and is not woken.

use super::hosts::Wait;
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
