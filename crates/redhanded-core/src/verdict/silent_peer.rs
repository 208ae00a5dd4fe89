//! Connected, but the other end does not answer, does not take what it is sent, or has gone.

use super::Observed;
use super::hosts::{Stage, Wait};
use redhanded_report::{Class, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let wait = Wait::of(observed).filter(|wait| !wait.is_unreachable())?;
    let (host, age) = (wait.host(), wait.spoken());
    let cause = match wait.stage {
        Stage::Room => {
            format!("connected to {host}, which has not taken what was sent to it for up to {age}")
        }
        Stage::Rest => format!(
            "reading the answer of {host}; nothing more has come for up to {age}, after {} bytes of its body",
            wait.received_bytes
        ),
        Stage::Closed => format!(
            "connected to {host}, which has closed its side; it has been waiting for it for up to {age}"
        ),
        _ => format!(
            "connected to {host}, and nothing has come for up to {age}; it waits for an answer"
        ),
    };
    Some(wait.verdict(Class::SilentPeer, cause))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::hosts::tests::{blocked, call, calling, peer, pending};
    use super::*;
    use crate::calls::CallPhase;
    use crate::verdict::judge;
    use redhanded_report::{Confidence, Peer, Role};

    fn established() -> Peer {
        peer("10.0.0.7", 5432, Some("ESTABLISHED"), None)
    }

    #[test]
    fn a_future_that_waits_for_an_answer() {
        let mut host = established();
        host.elapsed_ms = Some(30_500.0);
        let verdict = judge(&pending(&[host]));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::SilentPeer, Role::Culprit, Confidence::Likely)
        );
        assert_eq!(
            verdict.cause,
            "connected to 10.0.0.7:5432, and nothing has come for up to 30.50 s; it waits for an answer"
        );
    }

    /// A pooled connection may have been silent for an hour before anybody asked.
    #[test]
    fn silence_before_the_request_is_not_charged() {
        let mut host = established();
        host.elapsed_ms = Some(3_600_000.0);
        let peer = judge(&pending(&[host])).peer.expect("named");
        assert_eq!(peer.elapsed_ms, Some(31_000.0));
    }

    #[test]
    fn a_peer_that_takes_nothing_and_one_that_has_closed() {
        let full = peer("10.0.0.7", 80, Some("ESTABLISHED"), Some("write"));
        let verdict = judge(&pending(&[full]));
        assert_eq!(verdict.class, Class::SilentPeer);
        assert!(verdict.cause.contains("not taken"), "{}", verdict.cause);
        let closed = peer("10.0.0.7", 80, Some("CLOSE_WAIT"), None);
        let verdict = judge(&pending(&[closed]));
        assert_eq!(verdict.class, Class::SilentPeer);
        assert!(verdict.cause.contains("has closed"), "{}", verdict.cause);
    }

    #[test]
    fn a_unix_socket_is_a_peer_too() {
        let mut host = Peer::default();
        host.address = Some("/run/db.sock".into());
        let verdict = judge(&pending(&[host]));
        assert_eq!(verdict.class, Class::SilentPeer);
        assert!(verdict.cause.contains("/run/db.sock"), "{}", verdict.cause);
    }

    #[test]
    fn two_peers_are_suspected() {
        let other = peer("10.0.0.8", 80, Some("ESTABLISHED"), None);
        let verdict = judge(&pending(&[established(), other]));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Suspected)
        );
        assert!(verdict.cause.contains("2 sockets"), "{}", verdict.cause);
    }

    /// The nearest innocents: no host at hand, a leaf that asked for no waker, a thread that runs.
    #[test]
    fn who_waits_for_something_else_is_not_accused_of_this() {
        assert_eq!(judge(&pending(&[])).class, Class::StuckAwait);
        let mut running = blocked(established(), true);
        let poll = running.poll.as_mut().expect("inside");
        (poll.asleep, poll.on_cpu) = (2, 18);
        (poll.cpu_ms, poll.timeslices) = (Some(29_000.0), Some(40));
        assert_eq!(judge(&running).class, Class::CpuLoop);
    }

    #[test]
    fn a_thread_of_its_own_waits_and_one_of_the_runtime_is_blocked() {
        assert_eq!(
            judge(&blocked(established(), true)).class,
            Class::SilentPeer
        );
        assert_eq!(
            judge(&blocked(established(), false)).class,
            Class::BlockedThread
        );
    }

    #[test]
    fn a_call_that_waits_for_an_answer_and_one_that_waits_for_the_rest() {
        let verdict = judge(&calling(&[call("api", 80, Some(CallPhase::WaitHeaders))]));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Likely)
        );
        assert!(
            verdict.cause.starts_with("connected to api:80"),
            "{}",
            verdict.cause
        );
        let mut reading = call("api", 80, Some(CallPhase::ReadBody));
        reading.received_bytes = 17;
        let verdict = judge(&calling(&[reading]));
        assert!(
            verdict.cause.contains("after 17 bytes"),
            "{}",
            verdict.cause
        );
        let phase = verdict.peer.and_then(|peer| peer.phase);
        assert_eq!(phase.as_deref(), Some("read_body"));
    }

    #[test]
    fn a_call_without_phases_is_silent_and_says_that_this_is_concluded() {
        let verdict = judge(&calling(&[call("db1", 5432, None)]));
        assert_eq!(verdict.class, Class::SilentPeer);
        assert!(verdict.peer.is_some_and(|peer| peer.inferred));
    }
}
