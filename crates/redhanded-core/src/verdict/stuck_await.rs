//! Pending at a leaf that holds a waker and is not woken.

use super::hosts::Wait;
use super::{Look, Observed, spoken};
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
