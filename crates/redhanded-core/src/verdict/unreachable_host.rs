//! Waits for a host that does not answer: for its connection, or for the name server that should know it.

use super::Observed;
use super::hosts::{Stage, Wait};
use redhanded_report::{Class, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let wait = Wait::of(observed).filter(Wait::is_unreachable)?;
    let (host, age) = (wait.host(), wait.spoken());
    let cause = match (wait.stage, wait.peer.state.as_deref()) {
        (Stage::Name, _) if wait.peer.name.is_some() => {
            format!("resolving the name of {host} for up to {age}: no answer has come")
        }
        (Stage::Name, _) => {
            format!("waiting for the name server {host} for up to {age}: no answer has come")
        }
        (Stage::Handshake, _) => {
            format!("in the TLS handshake with {host} for up to {age}: it does not answer")
        }
        (_, Some(state)) => {
            format!("connecting to {host} for up to {age}, {state}: it does not answer")
        }
        (_, None) => format!("connecting to {host} for up to {age}: it does not answer"),
    };
    Some(wait.verdict(Class::UnreachableHost, cause))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::hosts::tests::{blocked, call, calling, peer, pending};
    use super::*;
    use crate::calls::CallPhase;
    use crate::verdict::{Look, judge};
    use redhanded_report::{Confidence, Role, WaitKind};

    #[test]
    fn a_future_that_connects_to_a_host_that_does_not_answer() {
        let host = peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect"));
        let verdict = judge(&pending(&[host]));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::UnreachableHost, Role::Culprit, Confidence::Likely)
        );
        assert_eq!(
            verdict.cause,
            "connecting to 10.0.0.7:5432 for up to 31.00 s, SYN_SENT: it does not answer"
        );
        let found = verdict.peer.expect("named");
        assert_eq!(found.phase.as_deref(), Some("connect"));
        assert_eq!(found.elapsed_ms, Some(31_000.0));
        let waiting_for = verdict.waiting_for.expect("said");
        assert_eq!(
            (waiting_for.kind, waiting_for.what.as_str()),
            (WaitKind::Socket, "10.0.0.7:5432")
        );
    }

    #[test]
    fn a_name_server_that_does_not_answer() {
        let verdict = judge(&pending(&[peer("fd00::53", 53, None, Some("dns"))]));
        assert_eq!(verdict.class, Class::UnreachableHost);
        assert!(verdict.cause.contains("[fd00::53]:53"), "{}", verdict.cause);
    }

    #[test]
    fn of_two_hosts_the_one_that_is_not_even_connected_is_suspected() {
        let silent = peer("10.0.0.8", 80, Some("ESTABLISHED"), None);
        let away = peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect"));
        let verdict = judge(&pending(&[silent, away]));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::UnreachableHost, Confidence::Suspected)
        );
        assert!(
            verdict.cause.contains("connecting to 10.0.0.7:5432")
                && verdict.cause.contains("2 sockets")
                && verdict.cause.contains("(10.0.0.8:80)"),
            "{}",
            verdict.cause
        );
    }

    #[test]
    fn a_future_that_wakes_itself_is_pending_for_another_reason() {
        let mut observed = pending(&[peer("10.0.0.7", 80, Some("SYN_SENT"), Some("connect"))]);
        if let Some(Look::Polled { woke_itself, .. }) = &mut observed.look {
            *woke_itself = true;
        }
        assert_eq!(judge(&observed).confidence, Confidence::Suspected);
    }

    /// The nearest innocents: no host, and a host that is connected.
    #[test]
    fn who_waits_for_something_else_is_not_accused_of_this() {
        assert_eq!(judge(&pending(&[])).class, Class::StuckAwait);
        let connected = peer("10.0.0.7", 5432, Some("ESTABLISHED"), None);
        assert_ne!(judge(&pending(&[connected])).class, Class::UnreachableHost);
    }

    #[test]
    fn a_thread_of_its_own_waits_and_one_of_the_runtime_is_blocked() {
        let host = peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect"));
        let verdict = judge(&blocked(host.clone(), true));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::UnreachableHost, Confidence::Likely)
        );
        assert_eq!(judge(&blocked(host, false)).class, Class::BlockedThread);
        // As a resolver waits, in `poll` on one datagram socket.
        let resolver = peer("10.0.0.2", 53, None, None);
        let verdict = judge(&blocked(resolver, true));
        assert_eq!(verdict.class, Class::UnreachableHost);
        let phase = verdict.peer.and_then(|p| p.phase);
        assert_eq!(phase.as_deref(), Some("dns"));
    }

    #[test]
    fn a_call_names_the_host_that_it_was_asked_for_by() {
        let mut connecting = call("db1", 5432, Some(CallPhase::Connect));
        connecting.socket = Some(peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect")));
        let verdict = judge(&calling(&[connecting]));
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::UnreachableHost, Confidence::Proved)
        );
        assert_eq!(
            verdict.cause,
            "connecting to 10.0.0.7:5432 (db1) for up to 30.50 s, SYN_SENT: it does not answer"
        );
        let found = verdict.peer.expect("named");
        assert_eq!(found.name.as_deref(), Some("db1"));
        assert!(!found.inferred);
    }

    #[test]
    fn names_and_handshakes_are_told_apart() {
        let verdict = judge(&calling(&[call("api", 443, Some(CallPhase::Dns))]));
        assert!(verdict.cause.contains("resolving the name of api:443"));
        let verdict = judge(&calling(&[call("api", 443, Some(CallPhase::Tls))]));
        assert_eq!(verdict.class, Class::UnreachableHost);
        assert!(verdict.cause.contains("TLS handshake"), "{}", verdict.cause);
        // Whose connector does not see the handshake, the socket does.
        let mut connecting = call("api", 443, Some(CallPhase::Connect));
        connecting.socket = Some(peer("10.0.0.7", 443, Some("ESTABLISHED"), None));
        let found = judge(&calling(&[connecting])).peer.expect("named");
        assert_eq!(found.phase.as_deref(), Some("tls"));
    }

    #[test]
    fn a_thread_that_calls_for_somebody_knows_the_name() {
        let mut observed = blocked(
            peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect")),
            true,
        );
        observed.calls = vec![call("db1", 5432, None)];
        let verdict = judge(&observed);
        assert!(
            verdict.cause.contains("10.0.0.7:5432 (db1)"),
            "{}",
            verdict.cause
        );
    }
}
