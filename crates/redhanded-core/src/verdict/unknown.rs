//! Stuck, cause not found: an honest answer, with what is known.

use super::{At, Look, Observed, Polling, spin_loop, spoken, was_not_seen};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn verdict(observed: &Observed) -> Verdict {
    let mut verdict = Verdict::new(
        Class::Unknown,
        Role::Culprit,
        Confidence::Suspected,
        cause(observed),
    );
    let unseen = observed.poll.as_ref().is_some_and(was_not_seen);
    if observed.at == At::Ended || moves(observed).is_some() || may_be_unlucky(observed) || unseen {
        verdict.role = Role::Bystander;
    }
    verdict
}

/// It may have been about to go on, or be late because of what nobody watches.
fn may_be_unlucky(observed: &Observed) -> bool {
    matches!(
        observed.look,
        Some(
            Look::Polled { pending: false, .. }
                | Look::Unanswered {
                    no_waker: false,
                    ..
                }
        )
    )
}

/// Its body hands out frames, so it gets on.
fn moves(observed: &Observed) -> Option<&Polling> {
    let polling = observed.polling.as_ref();
    polling.filter(|p| p.frames_per_second > 0.0)
}

fn cause(observed: &Observed) -> String {
    let age = spoken(observed.elapsed_ms);
    if observed.at == At::Ended {
        return format!("ended at {age}, before it could be looked at");
    }
    if let Some(poll) = &observed.poll {
        let why = if was_not_seen(poll) {
            "it hardly had a CPU in that time, and no sample of its stack could be taken"
        } else if poll.samples == 0 {
            "no sample of its stack could be taken"
        } else {
            "the samples agree on no cause"
        };
        return format!(
            "thread {} has been in one poll for {}; {why}",
            poll.thread,
            spoken(poll.stood_ms)
        );
    }
    if let Some(polling) = moves(observed) {
        return format!(
            "{age} old, and its body moves: {:.1} frames a second",
            polling.frames_per_second
        );
    }
    let how_often = observed.polling.as_ref().map_or(String::new(), |polling| {
        format!(", polled {} times a second", spin_loop::counted(polling))
    });
    match &observed.look {
        Some(Look::Unanswered { no_waker: true, .. }) => {
            format!("{age} old and never pending: its future was made and is not polled")
        }
        Some(Look::Queued { for_ms }) => format!(
            "queued for a thread of the blocking pool for {}",
            spoken(*for_ms)
        ),
        Some(Look::Unanswered { for_ms, .. }) => format!(
            "{age} old; woken {} ago and not polled since; {} of {} workers stand in watched polls: the others do what nobody watches, or wait for a CPU",
            spoken(*for_ms),
            observed.crowd.standing,
            observed.crowd.workers
        ),
        Some(Look::Polled { pending: false, .. }) => {
            format!(
                "{age} old; when it was looked at it went on: a wake-up had been missed, or came at that moment"
            )
        }
        Some(Look::Polled {
            woke_itself: true, ..
        }) => format!("{age} old; it wakes itself{how_often}"),
        Some(Look::Polled { .. }) => {
            format!("{age} old and pending; no leaf asked for a waker in its last poll{how_often}")
        }
        Some(Look::Forbidden) | None => {
            format!("{age} old and pending; it was not asked where it waits")
        }
    }
}
