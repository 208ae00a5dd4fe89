//! Ready to run, but no worker picks it up: always somebody's victim.

use super::{At, Crowd, Hog, Look, Observed, spoken};
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
    if let Some(Look::Queued { for_ms }) = observed.look {
        return Some(queued(observed, for_ms));
    }
    let crowd = &observed.crowd;
    let hog = crowd.hog.as_ref()?;
    let (confidence, what) = match observed.look {
        Some(Look::Unanswered { for_ms, .. }) => {
            let confidence = match (crowd.all_stand(), hog.same_worker) {
                (true, _) => Confidence::Proved,
                // One worker's queue has a place that others cannot steal from.
                (false, true) => Confidence::Likely,
                (false, false) => return None,
            };
            let what = format!("woken {} ago and not polled since", spoken(for_ms));
            (confidence, what)
        }
        // Whether the rest of its head has come, nobody has had time to see.
        None if observed.at == At::Head && crowd.all_stand() => {
            let what = "the rest of the request's head was not read".to_owned();
            (Confidence::Likely, what)
        }
        _ => return None,
    };
    Some(victim(what, confidence, crowd, hog))
}

fn victim(what: String, confidence: Confidence, crowd: &Crowd, hog: &Hog) -> Verdict {
    let cause = format!(
        "{what}: {} of {} workers stand in other requests' polls, the longest ({}) for {}",
        crowd.standing,
        crowd.workers,
        hog.thread,
        spoken(hog.stood_ms)
    );
    let mut verdict = Verdict::new(Class::Starved, Role::Victim, confidence, cause);
    verdict.victim_of = Some(hog.id.clone());
    verdict.holder = Some(hog.id.clone());
    verdict
}
