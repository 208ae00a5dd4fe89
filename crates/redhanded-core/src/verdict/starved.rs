//! Ready to run, but no worker picks it up: always somebody's victim.

use super::{At, Crowd, Hog, Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
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
