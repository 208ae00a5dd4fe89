//! The hosts that a pending request may wait for, as far as its own sockets tell.

use crate::calls::connections;
use crate::copied;
use crate::engine::Engine;
use crate::registry::{Mail, Slot};
use crate::verdict::OwnSocket;
use redhanded_capture::{
    ConnectionSeen, PollOutcome, Sampler, SocketSeen, sockets_behind, sockets_to,
};
use redhanded_report::Peer;
use std::net::SocketAddr;

/// More are never told apart.
const MOST: usize = 16;
/// The kernel counts these times in ticks of its clock: 10 ms at most, and each of two ends may be off by one.
const TICK_MS: f64 = 20.0;

/// Requests in flight whose tasks are known for what they are.
const MOST_REQUESTS: usize = 4096;
/// tokio's record of a socket is aligned to this.
const RECORD: u64 = 128;

/// The other ends of the sockets that the leaves of this poll had at hand: connected ones that owe something.
pub(super) fn of(slot: &Slot, mail: &Mail) -> Vec<Peer> {
    let leaves = &mail.waiting.leaves;
    let words: Vec<u64> = leaves
        .iter()
        .flat_map(|leaf| &leaf.words)
        .copied()
        .collect();
    if mail.waiting.outcome != PollOutcome::Pending || words.is_empty() {
        return Vec::new();
    }
    let seen = sockets_behind(&words);
    // Polled again, it may have closed what it had at hand, and the address may be another socket's by now.
    if slot.poll_mark().sequence.saturating_sub(mail.sequence) > 1 {
        return Vec::new();
    }
    let client = copied::client_of(&slot.facts.read());
    let owes = |socket: &SocketSeen| {
        // What has come and lies unread is not the other end's fault.
        socket.unread_bytes == 0 && !client.is_some_and(|client| is(&socket.peer, client))
    };
    let owing = seen.into_iter().filter(owes);
    let concluded = |socket: SocketSeen| {
        let mut peer = socket.peer;
        peer.inferred = true;
        peer
    };
    owing.map(concluded).take(MOST).collect()
}

/// How the sockets do that the request has in its own memory, and those that it has connected `own` clients to: asked
/// of requests that are polled all the time, whose leaf is another thing each time.
pub(super) fn in_memory(slot: &Slot, sampler: &mut Sampler, own: &[SocketAddr]) -> Vec<OwnSocket> {
    let client = copied::client_of(&slot.facts.read());
    let mut found: Vec<OwnSocket> = Vec::new();
    if let Some(place) = slot.future() {
        let reach = sampler.reach(place.address, place.size);
        let owned = reach.objects.iter().filter(|object| object.is_owned);
        let words = owned.flat_map(|object| &object.words);
        // A record is shared: what refers to it refers to its counts, which take as much room as it is aligned to.
        let words: Vec<u64> = words
            .flat_map(|word| [*word, word.wrapping_add(RECORD)])
            .collect();
        let seen = sockets_behind(&words).into_iter();
        let others = seen.filter(|socket| !client.is_some_and(|client| is(&socket.peer, client)));
        found.extend(others.map(|socket| OwnSocket {
            peer: socket.peer,
            rounds: socket.rounds,
        }));
    }
    let known = connections::known();
    found.extend(sockets_to(own).into_iter().map(|connection| {
        let row = known
            .iter()
            .find(|(remote, _)| *remote == connection.remote);
        let mut peer = Peer::default();
        peer.name = row.map(|(_, row)| row.host.to_string());
        peer.address = Some(connection.remote.ip().to_string());
        peer.port = Some(connection.remote.port());
        peer.state = Some(connection.state.to_owned());
        peer.elapsed_ms = Some(f64::from(connection.received_ms_ago));
        OwnSocket {
            peer,
            rounds: connection.rounds,
        }
    }));
    found
        .iter_mut()
        .for_each(|socket| socket.peer.inferred = true);
    found.truncate(MOST);
    found
}

/// The other ends of the sockets that those tasks wait for which share something with the request, such as the two ends
/// of a channel: whose answers it waits for, though it has no socket of its own. What has come and lies unread is not the
/// other end's fault.
pub(super) fn of_tasks(slot: &Slot, sampler: &mut Sampler) -> Vec<Peer> {
    let Some(place) = slot.future() else {
        return Vec::new();
    };
    let [own, vtable] = slot.kept_waker();
    // Another request that waits for a host shares the application with this one, and no channel.
    let requests = Engine::of(slot.key)
        .into_iter()
        .flat_map(|engine| engine.registry.live());
    let requests = requests
        .take(MOST_REQUESTS)
        .map(|other| other.kept_waker()[0]);
    let not: Vec<u64> = [own].into_iter().chain(requests).collect();
    let reach = sampler.reach(place.address, place.size);
    let words = |owned: bool| -> Vec<u64> {
        let objects = reach
            .objects
            .iter()
            .filter(|object| object.is_owned == owned);
        objects.flat_map(|object| &object.words).copied().collect()
    };
    let mut linked = sampler.sockets_of_tasks(&words(true), &not, vtable);
    if linked.is_empty() {
        linked = sampler.sockets_of_tasks(&words(false), &not, vtable);
    }
    let waiting = linked.into_iter().filter(|socket| socket.unread_bytes == 0);
    let mut peers: Vec<Peer> = Vec::new();
    for mut peer in waiting.map(|socket| socket.peer) {
        peer.inferred = true;
        let same = |known: &Peer| (&known.address, known.port) == (&peer.address, peer.port);
        if !peers.iter().any(same) && peers.len() < MOST {
            peers.push(peer);
        }
    }
    peers
}

/// Connections that other tasks have, to hosts whose calls nobody tells, and that owe an answer to
/// what was sent since the request began, `elapsed_ms` ago. Whether it waits for one, names must tell.
/// Those to `own` addresses, which it has connected to itself, come before all others.
pub(super) fn of_others(elapsed_ms: f64, own: &[SocketAddr]) -> Vec<Peer> {
    let known = connections::known();
    let remotes: Vec<SocketAddr> = known.iter().map(|(remote, _)| *remote).collect();
    let mut owing = sockets_to(&remotes);
    owing.retain(|connection| owes(connection, elapsed_ms));
    let is_own = |connection: &ConnectionSeen| own.contains(&connection.remote);
    if owing.iter().any(is_own) {
        owing.retain(is_own);
    }
    let peer = |connection: ConnectionSeen| {
        let (_, row) = known.iter().find(|(r, _)| *r == connection.remote)?;
        let mut peer = Peer::default();
        peer.name = Some(row.host.to_string());
        peer.address = Some(connection.remote.ip().to_string());
        peer.port = Some(connection.remote.port());
        peer.state = Some(connection.state.to_owned());
        peer.phase = (!connection.takes_more).then(|| "write".to_owned());
        // Nothing has moved for so long, in either direction.
        let rests_ms = connection.sent_ms_ago.min(connection.received_ms_ago);
        peer.elapsed_ms = Some(f64::from(rests_ms).min(elapsed_ms));
        peer.inferred = true;
        Some(peer)
    };
    owing.into_iter().filter_map(peer).take(MOST).collect()
}

/// Something was asked since then, and what has come is not all, or there would be no wait.
fn owes(connection: &ConnectionSeen, elapsed_ms: f64) -> bool {
    let is_open = matches!(connection.state, "ESTABLISHED" | "CLOSE_WAIT");
    let since_then = f64::from(connection.sent_ms_ago) <= elapsed_ms + TICK_MS;
    is_open && connection.unread_bytes == 0 && since_then
}

fn is(peer: &Peer, client: SocketAddr) -> bool {
    let address = peer.address.as_deref().unwrap_or_default();
    // The zone of a link-local address is not copied with the client's.
    let address = address.split('%').next().unwrap_or_default();
    peer.port == Some(client.port()) && address.parse() == Ok(client.ip())
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_address_and_port() {
        let mut peer = Peer::default();
        (peer.address, peer.port) = (Some("fe80::7%3".into()), Some(4711));
        let client = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert!(is(&peer, client("[fe80::7]:4711")));
        assert!(!is(&peer, client("[fe80::7]:4712")));
        assert!(!is(&peer, client("[fe80::8]:4711")));
        (peer.address, peer.port) = (Some("/run/db.sock".into()), None);
        assert!(!is(&peer, client("127.0.0.1:80")));
    }
}
