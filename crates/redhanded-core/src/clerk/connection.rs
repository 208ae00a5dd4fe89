//! Connections that tasks of clients have: whose answer a request waits for that has no socket of its own. Pure.

use super::naming::Named;
use crate::calls::CallPhase;
use redhanded_report::{Class, Confidence, Peer, Role, Stack, Verdict, WaitKind};

/// Who is polled all the time, and has only just begun to connect each time, connects again and again.
pub(super) fn connects_again(verdict: &mut Verdict, named: &Named, polls_per_second: f64) {
    /// A connection takes one poll or two.
    const OFTEN: f64 = 100.0;
    let waits = matches!(verdict.class, Class::StuckAwait | Class::UnreachableHost);
    if waits && named.phase == Some(CallPhase::Connect) && polls_per_second >= OFTEN {
        verdict.class = Class::RepeatingCalls;
        verdict.role = Role::Culprit;
        verdict.confidence = Confidence::Likely;
        verdict.cause +=
            "; each time it had only just begun to connect: it is refused, and tries again at once";
    }
}

/// Whose connection it waits for, where a client's task has it and memory tells: the two share a channel.
pub(super) fn adopt_linked(verdict: &mut Verdict, named: &Named, linked: &[Peer]) {
    let waits_for_a_task = verdict.class == Class::StuckAwait
        && !named.kinds.contains(&WaitKind::Lock)
        && named
            .kinds
            .iter()
            .all(|kind| matches!(kind, WaitKind::Channel | WaitKind::Socket | WaitKind::Task));
    // A client's own task does nothing else; what a task of the application does besides nobody knows.
    let in_a_client = named
        .leaf
        .as_deref()
        .is_some_and(|leaf| !is_of_a_runtime(leaf));
    let [only] = linked else { return };
    if !(waits_for_a_task && in_a_client) {
        return;
    }
    let unreachable = only.state.as_deref() == Some("SYN_SENT");
    verdict.class = if unreachable {
        Class::UnreachableHost
    } else {
        Class::SilentPeer
    };
    let host = crate::calls::spelled(only);
    verdict.cause += &format!("; what it waits for is shared with a task that waits for {host}");
    let mut peer = in_its_phase(only, named);
    if unreachable {
        peer.phase = Some(CallPhase::Connect.as_str().to_owned());
    }
    verdict.peer = Some(peer);
}

/// Whose connection it waits for, where a client's own task has it: `connections` owe an answer, and
/// the stack says that this is what is waited for.
pub(super) fn adopt_connection(verdict: &mut Verdict, named: &Named, connections: &[Peer]) {
    let waits_for_a_task = verdict.class == Class::StuckAwait
        && named.kinds.iter().all(|kind| *kind == WaitKind::Channel);
    if !(waits_for_a_task && named.stacks.iter().take(1).any(is_in_http_client)) {
        return;
    }
    let mut hosts: Vec<&Peer> = Vec::new();
    for peer in connections {
        if !hosts
            .iter()
            .any(|h| (&h.name, h.port) == (&peer.name, peer.port))
        {
            hosts.push(peer);
        }
    }
    let host = |peer: &Peer| {
        let name = peer.name.as_deref().unwrap_or_default();
        format!("{name}:{}", peer.port.unwrap_or_default())
    };
    match hosts.as_slice() {
        [] => {}
        [only] => {
            verdict.class = Class::SilentPeer;
            verdict.cause += &format!("; its client's connection to {} owes an answer", host(only));
            verdict.peer = Some(in_its_phase(only, named));
        }
        several => {
            let several: Vec<String> = several.iter().map(|peer| host(peer)).collect();
            let several = several.join(", ");
            verdict.cause +=
                &format!("; connections of clients like its own owe answers: {several}");
        }
    }
}

fn in_its_phase(peer: &Peer, named: &Named) -> Peer {
    let mut peer = peer.clone();
    let phase = named.phase.filter(|phase| *phase == CallPhase::ReadBody);
    let phase = phase.unwrap_or(CallPhase::WaitHeaders);
    peer.phase = peer.phase.or(Some(phase.as_str().to_owned()));
    peer
}

fn is_in_http_client(stack: &Stack) -> bool {
    let above = stack.frames.iter().take_while(|frame| !frame.user);
    let mut names = above.filter_map(|frame| frame.function.as_deref());
    names.any(|name| {
        name.contains("reqwest::")
            || name.contains("hyper_util::client::")
            || name.contains("hyper::client::")
    })
}

/// Its names speak of a resolver: it waits for a name server, whose address its socket need not know.
pub(super) fn asks_for_a_name(verdict: &mut Verdict, named: &Named) {
    let waits = verdict.class == Class::StuckAwait && verdict.victim_of.is_none();
    if waits && named.awaits && named.phase == Some(CallPhase::Dns) {
        verdict.class = Class::UnreachableHost;
        verdict.cause += "; by the names on its stack, it waits for a name server";
        let mut peer = Peer::default();
        peer.phase = Some(CallPhase::Dns.as_str().to_owned());
        peer.inferred = true;
        verdict.peer = Some(peer);
    }
}

/// A channel that the user's own code awaits, not one inside of a client.
fn is_of_a_runtime(leaf: &str) -> bool {
    ["tokio::", "futures"]
        .iter()
        .any(|name| leaf.starts_with(name))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use redhanded_report::Frame;

    fn waits() -> Verdict {
        Verdict::new(
            Class::StuckAwait,
            Role::Culprit,
            Confidence::Likely,
            "pending",
        )
    }

    fn named(leaf: &str, phase: Option<CallPhase>, kinds: &[WaitKind]) -> Named {
        Named {
            leaf: Some(leaf.to_owned()),
            phase,
            awaits: true,
            kinds: kinds.to_vec(),
            ..Named::default()
        }
    }

    fn database(state: &str) -> Peer {
        let mut peer = Peer::default();
        (peer.address, peer.port) = (Some("10.0.0.7".into()), Some(5432));
        peer.state = Some(state.to_owned());
        peer
    }

    #[test]
    fn a_channel_that_is_shared_with_the_task_of_a_connection_tells_its_host() {
        let channel = named("tokio_postgres::Client::query", None, &[WaitKind::Channel]);
        let mut verdict = waits();
        adopt_linked(&mut verdict, &channel, &[database("ESTABLISHED")]);
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Likely)
        );
        assert!(
            verdict.cause.ends_with("10.0.0.7:5432"),
            "{}",
            verdict.cause
        );
        let mut connecting = waits();
        adopt_linked(&mut connecting, &channel, &[database("SYN_SENT")]);
        assert_eq!(connecting.class, Class::UnreachableHost);
    }

    /// The nearest innocents: two hosts, a lock, and a channel of the user's own.
    #[test]
    fn what_may_be_another_wait_is_not_a_hosts_fault() {
        let channel = named("redis::cmd::Cmd::query_async", None, &[WaitKind::Channel]);
        let mut two = waits();
        adopt_linked(
            &mut two,
            &channel,
            &[database("ESTABLISHED"), database("CLOSE")],
        );
        assert_eq!((two.class, &two.peer), (Class::StuckAwait, &None));
        let lock = named("tokio::sync::Mutex::lock", None, &[WaitKind::Lock]);
        let mut locked = waits();
        adopt_linked(&mut locked, &lock, &[database("ESTABLISHED")]);
        assert_eq!(locked.class, Class::StuckAwait);
        let own = named("tokio::sync::oneshot::Receiver", None, &[WaitKind::Channel]);
        let mut users = waits();
        adopt_linked(&mut users, &own, &[database("ESTABLISHED")]);
        assert_eq!(users.class, Class::StuckAwait);
    }

    #[test]
    fn a_resolver_waits_for_a_name_server() {
        let mut verdict = waits();
        let lookup = named(
            "hickory_resolver::Resolver::lookup_ip",
            Some(CallPhase::Dns),
            &[],
        );
        asks_for_a_name(&mut verdict, &lookup);
        assert_eq!(verdict.class, Class::UnreachableHost);
        let phase = verdict.peer.and_then(|peer| peer.phase);
        assert_eq!(phase.as_deref(), Some("dns"));
    }

    #[test]
    fn who_begins_to_connect_all_the_time_is_refused_all_the_time() {
        let connect = named(
            "tokio::net::tcp::stream::TcpStream::connect",
            Some(CallPhase::Connect),
            &[WaitKind::Socket],
        );
        let mut verdict = waits();
        connects_again(&mut verdict, &connect, 19_700.0);
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::RepeatingCalls, Role::Culprit)
        );
        let mut once = waits();
        connects_again(&mut once, &connect, 5.0);
        assert_eq!(once.class, Class::StuckAwait, "a slow connect");
    }

    fn waiting_in_reqwest() -> Named {
        let mut named = named(
            "reqwest::async_impl::client::Pending",
            None,
            &[WaitKind::Channel],
        );
        named.stacks = vec![Stack::default()];
        let mut frame = Frame::default();
        frame.function = Some("reqwest::async_impl::client::Pending::poll".into());
        named.stacks[0].frames = vec![frame];
        named
    }

    fn owing(name: &str) -> Peer {
        let mut peer = Peer::default();
        (peer.name, peer.port, peer.inferred) = (Some(name.into()), Some(443), true);
        peer
    }

    #[test]
    fn a_pooled_connection_that_owes_an_answer_is_what_its_client_waits_for() {
        let mut verdict = waits();
        adopt_connection(
            &mut verdict,
            &waiting_in_reqwest(),
            &[owing("api"), owing("api")],
        );
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::SilentPeer, Confidence::Likely)
        );
        let peer = verdict.peer.expect("named");
        assert_eq!(peer.phase.as_deref(), Some("wait_headers"));
        let mut several = waits();
        let hosts = [owing("api"), owing("db")];
        adopt_connection(&mut several, &waiting_in_reqwest(), &hosts);
        assert_eq!((several.class, several.peer), (Class::StuckAwait, None));
        assert!(
            several.cause.contains("api:443, db:443"),
            "{}",
            several.cause
        );
    }

    /// The nearest innocents: a channel of the application's own, and nobody who owes anything.
    #[test]
    fn who_waits_for_something_else_is_not_given_a_host() {
        let mut own = waits();
        let named = named("tokio::sync::oneshot::Receiver", None, &[WaitKind::Channel]);
        adopt_connection(&mut own, &named, &[owing("api")]);
        assert_eq!((own.class, own.peer), (Class::StuckAwait, None));
        let mut nobody = waits();
        adopt_connection(&mut nobody, &waiting_in_reqwest(), &[]);
        assert_eq!(nobody.class, Class::StuckAwait);
    }
}
