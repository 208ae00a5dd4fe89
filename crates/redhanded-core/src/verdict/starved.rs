//! Ready to run, but no worker picks it up: always somebody's victim.

use super::{Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let Some(Look::Unanswered { for_ms, .. }) = observed.look else {
        return None;
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
