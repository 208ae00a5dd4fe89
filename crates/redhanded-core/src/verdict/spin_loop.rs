//! Polled again and again without anybody's doing but its own.

use super::{Observed, Polling};
use crate::calls::spelled as host;
use redhanded_report::{Class, Confidence, Peer, Role, Verdict};

/// So many polls a second are no waiting, and more than a well-behaved timer or peer causes.
pub(super) const OFTEN: f64 = 1_000.0;
/// So many leave no time for work in between.
const PROVED_OFTEN: f64 = 10_000.0;
/// Captured polls that a proof wants.
const PROVED_CAPTURES: u32 = 3;
/// A used-up budget stands for 128 operations that were ready at once, so that fewer polls will do.
const READY_OFTEN: f64 = 100.0;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let polling = observed.polling.as_ref()?;
    // What hands out frames gets on, however often it is polled for one.
    if observed.poll.is_some() || polling.frames_per_second > 0.0 || polling.captures == 0 {
        return None;
    }
    let (confidence, why) = wakes_itself(polling)
        .or_else(|| yields(polling))
        .or_else(|| always_ready(polling))?;
    let mut cause = format!("polled {} times a second, {why}", counted(polling));
    let closed = closed_by_its_peer(observed);
    if let Some(peer) = closed {
        cause += &format!("; {} has closed its side of the connection", host(peer));
    }
    // Whoever reads on after the end of a stream is always ready.
    let confidence = match closed {
        Some(_) if polling.budget_exhausted > 0 => confidence.max(Confidence::Likely),
        _ => confidence,
    };
    let mut verdict = Verdict::new(Class::SpinLoop, Role::Culprit, confidence, cause);
    verdict.peer = closed.cloned();
    Some(verdict)
}

/// The other end of its only socket that nothing will come from any more.
fn closed_by_its_peer(observed: &Observed) -> Option<&Peer> {
    let is_closed = |peer: &&Peer| peer.state.as_deref() == Some("CLOSE_WAIT");
    let mut closed = observed
        .own_sockets
        .iter()
        .map(|own| &own.peer)
        .filter(is_closed);
    closed.next().filter(|_| closed.next().is_none())
}

fn wakes_itself(polling: &Polling) -> Option<(Confidence, &'static str)> {
    let every = polling.woke_itself == polling.captures;
    if !every || polling.polls_per_second < OFTEN {
        return None;
    }
    let proved = polling.polls_per_second >= PROVED_OFTEN && polling.captures >= PROVED_CAPTURES;
    let confidence = if proved {
        Confidence::Proved
    } else {
        Confidence::Likely
    };
    Some((confidence, "and wakes itself in every poll"))
}

/// One captured poll has names, so the others are taken to be like it.
fn yields(polling: &Polling) -> Option<(Confidence, &'static str)> {
    let often = polling.yields && polling.polls_per_second >= OFTEN;
    often.then_some((
        Confidence::Likely,
        "and yields to the scheduler instead of waiting",
    ))
}

/// A transfer at full speed looks the same from here.
fn always_ready(polling: &Polling) -> Option<(Confidence, &'static str)> {
    let every = polling.woke_itself.saturating_add(polling.budget_exhausted) >= polling.captures
        && polling.budget_exhausted > 0;
    (every && polling.polls_per_second >= READY_OFTEN).then_some((
        Confidence::Suspected,
        "and what it awaits is ready each time, until its budget is used up: it transfers much, or ignores an end",
    ))
}

/// A number for people: `183,000`, with as many digits as it deserves.
pub(super) fn counted(polling: &Polling) -> String {
    let rate = polling.polls_per_second.clamp(0.0, 1e12) as u64;
    let step = 10_u64.pow(rate.max(1).ilog10().saturating_sub(2));
    let digits = (rate / step * step).to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::{Look, judge};
    use super::*;

    fn polled(pending: bool, leaves: u32, polling: Polling) -> Observed {
        Observed {
            elapsed_ms: 2_000.0,
            slow_after_ms: 2_000.0,
            polls: 366_000,
            look: Some(Look::Polled {
                pending,
                leaves,
                woke_itself: polling.woke_itself > 0,
                budget_exhausted: polling.budget_exhausted > 0,
            }),
            polling: Some(polling),
            ..Observed::default()
        }
    }

    fn spinning() -> Polling {
        Polling {
            window_ms: 100.4,
            polls_per_second: 183_412.7,
            captures: 8,
            woke_itself: 8,
            ..Polling::default()
        }
    }

    fn found(observed: &Observed) -> (Class, Role, Confidence) {
        let verdict = judge(observed);
        (verdict.class, verdict.role, verdict.confidence)
    }

    #[test]
    fn who_wakes_itself_in_every_poll_spins() {
        let observed = polled(true, 0, spinning());
        assert_eq!(
            found(&observed),
            (Class::SpinLoop, Role::Culprit, Confidence::Proved)
        );
        assert_eq!(
            judge(&observed).cause,
            "polled 183,000 times a second, and wakes itself in every poll"
        );
        let mut few = spinning();
        few.polls_per_second = 4_000.0;
        assert_eq!(found(&polled(true, 0, few)).2, Confidence::Likely);
        let mut seldom = spinning();
        seldom.polls_per_second = 500.0;
        assert_ne!(found(&polled(true, 0, seldom)).0, Class::SpinLoop);
        let mut once = spinning();
        (once.captures, once.woke_itself) = (1, 1);
        assert_eq!(found(&polled(true, 0, once)).2, Confidence::Likely);
    }

    #[test]
    fn a_set_of_futures_that_wakes_itself_now_and_then_does_not_spin() {
        let mut set = spinning();
        set.woke_itself = 7;
        assert_ne!(found(&polled(true, 1, set)).0, Class::SpinLoop);
    }

    #[test]
    fn a_body_that_moves_is_no_culprit() {
        let mut moves = spinning();
        moves.frames_per_second = 0.5;
        let (class, role, _) = found(&polled(true, 0, moves));
        assert_ne!(class, Class::SpinLoop);
        assert_eq!(role, Role::Bystander);
    }

    #[test]
    fn who_is_woken_by_a_busy_channel_does_not_spin() {
        let mut woken = spinning();
        woken.woke_itself = 0;
        let (class, _, confidence) = found(&polled(true, 1, woken.clone()));
        assert_eq!(
            (class, confidence),
            (Class::StuckAwait, Confidence::Suspected)
        );
        woken.polls_per_second = 900.0;
        assert_eq!(
            found(&polled(true, 1, woken.clone())).2,
            Confidence::Suspected,
            "somebody wakes it all the same"
        );
        woken.polls_per_second = 90_000.0;
        woken.yields = true;
        assert_eq!(
            found(&polled(true, 1, woken)),
            (Class::SpinLoop, Role::Culprit, Confidence::Likely),
            "unless names say that it yields"
        );
    }

    #[test]
    fn what_is_always_ready_is_a_suspicion() {
        let mut ready = spinning();
        (ready.woke_itself, ready.budget_exhausted) = (0, 8);
        assert_eq!(
            found(&polled(true, 1, ready.clone())),
            (Class::SpinLoop, Role::Culprit, Confidence::Suspected)
        );
        ready.budget_exhausted = 7;
        assert_ne!(
            found(&polled(true, 1, ready)).0,
            Class::SpinLoop,
            "it waits, too"
        );
    }

    #[test]
    fn numbers_are_for_people() {
        let counted = |rate: f64| {
            counted(&Polling {
                polls_per_second: rate,
                ..Polling::default()
            })
        };
        let wanted = ["0", "7", "999", "1,230", "10,000", "1,230,000"];
        assert_eq!(
            [0.0, 7.9, 999.9, 1_234.0, 10_049.0, 1_234_567.0].map(counted),
            wanted
        );
        assert_eq!(counted(f64::NAN), "0");
        assert!(!counted(f64::INFINITY).is_empty());
    }
}
