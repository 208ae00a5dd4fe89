//! What names add to a verdict about another host: whether it is waited for, and how far the two have
//! come. Pure.

use super::naming::Named;
use crate::calls::{CallPhase, CallSeen};
use redhanded_report::{Class, Confidence, Peer, Role, Verdict, WaitKind, WaitingFor};

/// Whom it waits for was told by a call or by a socket.
pub(super) fn is_about_a_host(verdict: &Verdict) -> bool {
    matches!(verdict.class, Class::UnreachableHost | Class::SilentPeer)
}

/// A call has told it, and in which phase it is: names have nothing to add.
pub(super) fn is_told(verdict: &Verdict) -> bool {
    let peer = verdict.peer.as_ref();
    peer.is_some_and(|peer| peer.name.is_some() && !peer.inferred)
}

/// Compares what a verdict says about a host with what the stack says.
pub(super) fn compare_with_names(verdict: &mut Verdict, named: &Named) {
    if is_blocked_in_pool(verdict, named) {
        return wait_for_pool(verdict);
    }
    forget_call(verdict);
    if named.stacks.is_empty() && named.kinds.is_empty() {
        return;
    }
    let has_name = verdict
        .peer
        .as_ref()
        .is_some_and(|peer| peer.name.is_some());
    if is_about_a_host(verdict) && !is_told(verdict) {
        if has_name {
            settle(verdict, named);
        } else if !named.kinds.is_empty() {
            compare_sockets(verdict, named);
        }
    }
    let waits_for_a_pool = verdict.class == Class::StuckAwait && is_in_pool(named);
    if waits_for_a_pool {
        verdict.class = Class::PoolWait;
    }
}

/// A call that is open and was not polled, where none was, is what a set of futures waits for: it polls who was
/// woken. Who waits for anything else has left it at rest, as an answer that is not read.
pub(super) fn compare_unpolled(verdict: &mut Verdict, named: &Named, calls: &[CallSeen]) {
    let is_of_a_call = is_about_a_host(verdict) || verdict.class == Class::PoolWait;
    let rests = !calls.is_empty() && calls.iter().all(|call| !call.polled);
    let waits_for_a_set = named.kinds.contains(&WaitKind::Task);
    if is_of_a_call && rests && named.awaits && !named.kinds.is_empty() && !waits_for_a_set {
        acquit(verdict, "a call to");
        verdict.victim_of = None;
        verdict.holder = None;
        verdict.role = Role::Culprit;
    }
}

/// A thread that is blocked in a call and on no socket may wait for anything: unless it is a pool,
/// the host is not in it.
pub(super) fn forget_call(verdict: &mut Verdict) {
    if verdict.class == Class::BlockedThread {
        verdict.peer.take_if(|peer| is_of_call_alone(peer));
    }
}

fn is_of_call_alone(peer: &Peer) -> bool {
    peer.name.is_some() && peer.address.is_none() && peer.state.is_none()
}

/// A pool that is waited for, and that does not connect.
fn is_in_pool(named: &Named) -> bool {
    named.phase == Some(CallPhase::Pool) && !named.kinds.contains(&WaitKind::Socket)
}

/// A thread of its own that calls a host, and sleeps in the pool of its connections.
fn is_blocked_in_pool(verdict: &Verdict, named: &Named) -> bool {
    let on_no_socket = verdict.peer.as_ref().is_some_and(is_of_call_alone);
    verdict.class == Class::BlockedThread && on_no_socket && !named.awaits && is_in_pool(named)
}

/// A call that has not told its phases: which one it is in, by the names of its client.
fn settle(verdict: &mut Verdict, named: &Named) {
    let from_socket = verdict.peer.as_ref().and_then(|peer| peer.phase.clone());
    // A thread is here for the socket that it sleeps on: its pool tries a connection.
    if from_socket.is_none() && named.awaits && is_in_pool(named) {
        return wait_for_pool(verdict);
    }
    if waits_at_home(named) {
        return acquit(verdict, "a call to");
    }
    // A pool that waits for a socket asks whether it still works.
    let of_host = named.phase.filter(|phase| *phase != CallPhase::Pool);
    let phase = of_host.filter(|_| from_socket.is_none());
    if let Some(phase) = phase {
        let unreachable = matches!(phase, CallPhase::Dns | CallPhase::Connect | CallPhase::Tls);
        if unreachable {
            verdict.class = Class::UnreachableHost;
            verdict.cause += &format!("; by the names on its stack, it is in {}", phase.as_str());
        }
    }
    let phase = phase.map_or(CallPhase::WaitHeaders.as_str(), CallPhase::as_str);
    if let Some(peer) = &mut verdict.peer {
        peer.phase = Some(from_socket.unwrap_or_else(|| phase.to_owned()));
    }
}

/// It waits for something of its own process, though a call is open around it.
fn waits_at_home(named: &Named) -> bool {
    let only_a_timer = named.kinds.is_empty()
        && named
            .waiting_for
            .as_ref()
            .is_some_and(|waiting| waiting.kind == WaitKind::Timer);
    let all = |kind| !named.kinds.is_empty() && named.kinds.iter().all(|k| *k == kind);
    only_a_timer || all(WaitKind::Lock)
}

fn wait_for_pool(verdict: &mut Verdict) {
    let Some(peer) = &mut verdict.peer else {
        return;
    };
    peer.phase = Some(CallPhase::Pool.as_str().to_owned());
    let host = crate::calls::spelled(peer);
    verdict.class = Class::PoolWait;
    verdict.role = Role::Culprit;
    verdict.cause = format!("waiting for a connection to {host} of a pool");
    verdict.waiting_for = Some(WaitingFor::new(WaitKind::Semaphore, host));
}

/// A future that had a socket at hand need not wait for it: what its leaves are called decides.
fn compare_sockets(verdict: &mut Verdict, named: &Named) {
    let sockets = named.kinds.iter().filter(|kind| **kind == WaitKind::Socket);
    match sockets.count() {
        0 => acquit(verdict, "a socket to"),
        all if all == named.kinds.len() => {
            verdict.waiting_for = named.waiting_for.clone();
            is_in_handshake(verdict, named);
        }
        _ => {
            verdict.confidence = Confidence::Suspected;
            verdict.cause += "; it waits for something else as well";
        }
    }
}

/// A host that is connected and does not shake hands is not reached.
fn is_in_handshake(verdict: &mut Verdict, named: &Named) {
    let silent = verdict.class == Class::SilentPeer;
    if named.phase == Some(CallPhase::Tls) && silent {
        verdict.class = Class::UnreachableHost;
        verdict.cause += "; by the names on its stack, it is in the TLS handshake";
        if let Some(peer) = &mut verdict.peer {
            peer.phase = Some(CallPhase::Tls.as_str().to_owned());
        }
    }
}

fn acquit(verdict: &mut Verdict, what: &str) {
    let host = verdict.waiting_for.take().map(|waiting| waiting.what);
    verdict.class = Class::StuckAwait;
    verdict.peer = None;
    verdict.cause = format!(
        "pending, and polled once more it stayed so; it has {what} {} at hand, but that is not what it waits for",
        host.unwrap_or_default()
    );
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::refine::refine;
    use super::*;
    use crate::referred::Referred;
    use redhanded_report::Stack;

    fn silent_peer() -> Verdict {
        let mut verdict = Verdict::new(
            Class::SilentPeer,
            Role::Culprit,
            Confidence::Likely,
            "connected to 10.0.0.7:80",
        );
        verdict.peer = Some(redhanded_report::Peer::default());
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Socket, "10.0.0.7:80"));
        verdict
    }

    fn names(leaf: WaitKind, kinds: &[WaitKind]) -> Named {
        Named {
            waiting_for: Some(WaitingFor::new(leaf, "the leaf")),
            kinds: kinds.to_vec(),
            ..Named::default()
        }
    }

    #[test]
    fn a_leaf_that_is_a_socket_confirms_the_host() {
        let mut verdict = silent_peer();
        let named = names(WaitKind::Socket, &[WaitKind::Socket]);
        refine(
            &mut verdict,
            &named,
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Likely)
        );
        assert_eq!(verdict.waiting_for.expect("said").what, "the leaf");
        let mut nameless = silent_peer();
        refine(
            &mut nameless,
            &Named::default(),
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(nameless, silent_peer(), "no names, no change");
    }

    #[test]
    fn a_leaf_that_is_a_lock_acquits_the_host() {
        let mut verdict = silent_peer();
        let named = names(WaitKind::Lock, &[WaitKind::Lock]);
        refine(
            &mut verdict,
            &named,
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!((verdict.class, verdict.peer), (Class::StuckAwait, None));
        assert_eq!(verdict.waiting_for.expect("said").kind, WaitKind::Lock);
    }

    #[test]
    fn a_channel_beside_the_socket_leaves_it_open() {
        let mut verdict = silent_peer();
        let named = names(WaitKind::Socket, &[WaitKind::Socket, WaitKind::Channel]);
        refine(
            &mut verdict,
            &named,
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Suspected)
        );
    }

    /// A guard around a driver whose connection another task has.
    fn guarded() -> Verdict {
        let mut verdict = silent_peer();
        let peer = verdict.peer.as_mut().expect("named");
        (peer.name, peer.inferred) = (Some("db1".into()), true);
        verdict
    }

    fn in_phase(phase: Option<CallPhase>, kinds: &[WaitKind]) -> Named {
        Named {
            phase,
            stacks: vec![Stack::default()],
            awaits: true,
            kinds: kinds.to_vec(),
            ..Named::default()
        }
    }

    fn settled(verdict: Verdict, named: &Named) -> (Class, Option<String>) {
        let mut verdict = verdict;
        refine(&mut verdict, named, 0, &Referred::default(), [].into_iter());
        (verdict.class, verdict.peer.and_then(|peer| peer.phase))
    }

    #[test]
    fn a_guard_learns_its_phase_from_names() {
        let channel = [WaitKind::Channel];
        for (phase, class, name) in [
            (Some(CallPhase::Dns), Class::UnreachableHost, "dns"),
            (Some(CallPhase::Tls), Class::UnreachableHost, "tls"),
            (Some(CallPhase::ReadBody), Class::SilentPeer, "read_body"),
            (Some(CallPhase::Pool), Class::PoolWait, "pool"),
            (None, Class::SilentPeer, "wait_headers"),
        ] {
            let (found, peer_phase) = settled(guarded(), &in_phase(phase, &channel));
            assert_eq!(
                (found, peer_phase.as_deref()),
                (class, Some(name)),
                "{phase:?}"
            );
        }
    }

    /// With HTTP/2, who waits in the pool may wait for a connection that another call makes.
    #[test]
    fn a_connection_that_another_makes_is_no_pool() {
        let mut connecting = guarded();
        connecting.class = Class::UnreachableHost;
        connecting.peer.as_mut().expect("named").phase = Some("connect".into());
        let named = in_phase(Some(CallPhase::Pool), &[WaitKind::Channel]);
        let (class, phase) = settled(connecting, &named);
        assert_eq!(
            (class, phase.as_deref()),
            (Class::UnreachableHost, Some("connect"))
        );
    }

    /// It tries a connection before it gives it away, or makes one.
    #[test]
    fn a_pool_that_waits_for_a_socket_waits_for_the_host() {
        let named = in_phase(Some(CallPhase::Pool), &[WaitKind::Socket]);
        let answer = (Class::SilentPeer, Some("wait_headers".to_owned()));
        assert_eq!(settled(guarded(), &named), answer);
        // A thread has no leaves that would say so, but it sleeps on the socket.
        let mut thread = in_phase(Some(CallPhase::Pool), &[]);
        thread.awaits = false;
        assert_eq!(settled(guarded(), &thread), answer);
    }

    #[test]
    fn a_thread_that_sleeps_in_a_pool_on_no_socket_waits_for_the_pool() {
        let mut blocked = guarded();
        blocked.class = Class::BlockedThread;
        let mut thread = in_phase(Some(CallPhase::Pool), &[]);
        thread.awaits = false;
        let waits = (Class::PoolWait, Some("pool".to_owned()));
        assert_eq!(settled(blocked.clone(), &thread), waits);
        // The nearest innocents: elsewhere in the same call, and on a socket.
        let elsewhere = Named {
            phase: None,
            ..thread
        };
        let mut verdict = blocked.clone();
        refine(
            &mut verdict,
            &elsewhere,
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!((verdict.class, verdict.peer), (Class::BlockedThread, None));
        let mut thread = in_phase(Some(CallPhase::Pool), &[]);
        thread.awaits = false;
        blocked.peer.as_mut().expect("named").state = Some("ESTABLISHED".into());
        assert_eq!(settled(blocked, &thread).0, Class::BlockedThread);
    }

    #[test]
    fn what_a_call_has_told_is_not_asked_again() {
        let mut told = guarded();
        told.peer.as_mut().expect("named").inferred = false;
        let named = in_phase(Some(CallPhase::Dns), &[WaitKind::Lock]);
        assert_eq!(settled(told, &named).0, Class::SilentPeer);
    }

    #[test]
    fn a_lock_inside_of_a_guard_acquits_the_host() {
        let named = in_phase(None, &[WaitKind::Lock]);
        assert_eq!(settled(guarded(), &named), (Class::StuckAwait, None));
    }

    #[test]
    fn a_pool_without_a_guard_is_a_pool() {
        let verdict = Verdict::new(
            Class::StuckAwait,
            Role::Culprit,
            Confidence::Likely,
            "pending",
        );
        let named = in_phase(Some(CallPhase::Pool), &[WaitKind::Semaphore]);
        assert_eq!(settled(verdict, &named).0, Class::PoolWait);
    }

    #[test]
    fn a_handshake_of_nobodys_call_is_no_silence() {
        let named = in_phase(Some(CallPhase::Tls), &[WaitKind::Socket]);
        let (class, phase) = settled(silent_peer(), &named);
        assert_eq!(
            (class, phase.as_deref()),
            (Class::UnreachableHost, Some("tls"))
        );
    }

    #[test]
    fn an_answer_that_nobody_reads_is_not_waited_for() {
        let resting = [CallSeen::default()];
        let mut in_a_lock = guarded();
        compare_unpolled(&mut in_a_lock, &in_phase(None, &[WaitKind::Lock]), &resting);
        assert_eq!((in_a_lock.class, in_a_lock.peer), (Class::StuckAwait, None));
        // The nearest guilty: one of a set, and one that was polled.
        let mut of_a_set = guarded();
        compare_unpolled(&mut of_a_set, &in_phase(None, &[WaitKind::Task]), &resting);
        assert_eq!(of_a_set.class, Class::SilentPeer);
        let polled = [CallSeen {
            polled: true,
            ..CallSeen::default()
        }];
        let mut waited_for = guarded();
        compare_unpolled(
            &mut waited_for,
            &in_phase(None, &[WaitKind::Channel]),
            &polled,
        );
        assert_eq!(waited_for.class, Class::SilentPeer);
    }
}
