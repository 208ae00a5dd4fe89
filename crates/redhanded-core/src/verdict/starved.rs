//! Ready to run, but no worker picks it up: always somebody's victim.

use super::{Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict, WaitKind, WaitingFor};

/// A closure that no thread of the blocking pool has begun: they are all taken.
fn queued(observed: &Observed, for_ms: f64) -> Verdict {
    let hog = observed.crowd.hog.as_ref();
    let (confidence, who) = match hog {
        Some(hog) => {
            let stood = spoken(hog.stood_ms);
            let who = format!(
                "the longest of those we know ({}) has run for {stood}",
                hog.thread
            );
            (Confidence::Likely, who)
        }
        None => (Confidence::Suspected, "none that we know runs".to_owned()),
    };
    let cause = format!(
        "queued for a thread of the blocking pool for {}, not begun: all its threads are taken; {who}",
        spoken(for_ms)
    );
    let mut verdict = Verdict::new(Class::Starved, Role::Victim, confidence, cause);
    verdict.victim_of = hog.map(|hog| hog.id.clone());
    verdict.holder = Some(hog.map_or("nobody found".to_owned(), |hog| hog.id.clone()));
    verdict.waiting_for = Some(WaitingFor::new(
        WaitKind::BlockingPool,
        "a thread of the blocking pool",
    ));
    verdict
}

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let for_ms = match observed.look {
        Some(Look::Unanswered { for_ms, .. }) => for_ms,
        Some(Look::Queued { for_ms }) => return Some(queued(observed, for_ms)),
        _ => return None,
    };
    let crowd = &observed.crowd;
    let hog = crowd.hog.as_ref()?;
    let all_stand = crowd.workers > 0 && crowd.standing >= crowd.workers;
    let confidence = match (all_stand, hog.same_worker) {
        (true, _) => Confidence::Proved,
        // One worker's queue has a place that others cannot steal from.
        (false, true) => Confidence::Likely,
        (false, false) => return None,
    };
    let cause = format!(
        "woken {} ago and not polled since: {} of {} workers stand in other requests' polls, the longest ({}) for {}",
        spoken(for_ms),
        crowd.standing,
        crowd.workers,
        hog.thread,
        spoken(hog.stood_ms)
    );
    let mut verdict = Verdict::new(Class::Starved, Role::Victim, confidence, cause);
    verdict.victim_of = Some(hog.id.clone());
    verdict.holder = Some(hog.id.clone());
    Some(verdict)
}
