//! Waits for its own client: never a culprit.

use super::{At, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict, WaitKind, WaitingFor};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    if observed.at != At::AwaitsClient || observed.poll.is_some() {
        return None;
    }
    let cause = format!(
        "the response is ready and the client has not taken it; the request is {} old",
        spoken(observed.elapsed_ms)
    );
    let mut verdict = Verdict::new(
        Class::ClientStalled,
        Role::Bystander,
        Confidence::Likely,
        cause,
    );
    verdict.waiting_for = Some(WaitingFor::new(
        WaitKind::Client,
        "the client to read the response",
    ));
    Some(verdict)
}
