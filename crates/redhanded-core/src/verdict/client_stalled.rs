//! Waits for its own client: never a culprit.

use super::{At, Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict, WaitKind, WaitingFor};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    if observed.poll.is_some() {
        return None;
    }
    let age = spoken(observed.elapsed_ms);
    let (cause, what) = match observed.at {
        At::AwaitsClient => (
            format!(
                "the response is ready and the client has not taken it; the request is {age} old"
            ),
            "the client to read the response",
        ),
        At::Head => half_come(observed, &age)?,
        _ => return None,
    };
    let mut verdict = Verdict::new(
        Class::ClientStalled,
        Role::Bystander,
        Confidence::Likely,
        cause,
    );
    verdict.waiting_for = Some(WaitingFor::new(WaitKind::Client, what));
    Some(verdict)
}

/// Its age is counted from when the server first waited for the rest, shortly after the first bytes.
fn half_come(observed: &Observed, age: &str) -> Option<(String, &'static str)> {
    // Nobody had time to read: what has come since is not known.
    if observed.crowd.all_stand() {
        return None;
    }
    let received = observed.received.unwrap_or_default();
    let bytes = received.bytes;
    Some(if received.handshake {
        (
            format!(
                "the client has sent {bytes} bytes of a TLS handshake and has not finished it in {age}"
            ),
            "the client to finish the TLS handshake",
        )
    } else {
        (
            format!(
                "the client has sent {bytes} bytes of a request's head and has not finished it in {age}"
            ),
            "the client to send the rest of the request's head",
        )
    })
}
