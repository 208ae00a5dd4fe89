//! The outbound calls of an overdue request: those that it may wait for, and what all have cost.

use super::pauses::Pauses;
use super::standing::ms;
use crate::calls::{CONNECTION, CallPhase, CallState, Total};
use crate::family;
use crate::registry::{Key, Slot};
use crate::verdict::{CallSeen, CallTotal, Observed};
use redhanded_capture::sockets_to;
use redhanded_report::Peer;
use std::net::SocketAddr;
use std::sync::Arc;

/// Holders of connections that are asked for their ids.
const HOLDERS: usize = 10;

/// Open and recent calls of one request, those of its children among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) open: Vec<Arc<CallState>>,
    pub(super) recent: Vec<Arc<CallState>>,
    pub(super) totals: Vec<Total>,
    unlisted: u64,
}

impl Known {
    /// Those of the request that `slot` works for.
    pub(super) fn of(slot: &'static Slot) -> Self {
        let request = family::request_of(slot);
        let generation = request.hand.generation();
        let known = request.extra(generation, |extra| Self {
            open: extra.calls.open().to_vec(),
            recent: extra.calls.recent().cloned().collect(),
            totals: extra.calls.totals().to_vec(),
            unlisted: extra.calls.unlisted(),
        });
        known.unwrap_or_default()
    }

    /// Where it has connected to itself, by clients whose calls nobody tells.
    pub(super) fn connected(&self) -> Vec<SocketAddr> {
        let recent = self.recent.iter();
        recent
            .filter(|call| call.kind == CONNECTION && call.failure().is_none())
            .filter_map(|call| call.address())
            .collect()
    }

    /// What there was no room for, in plain words.
    pub(super) fn missing(&self) -> Option<String> {
        (self.unlisted > 0).then(|| {
            format!(
                "{} outbound calls that were begun while 64 others were open",
                self.unlisted
            )
        })
    }
}

/// Completes what was observed of `slot` by the calls that it has made itself.
pub(super) fn observe(observed: &mut Observed, slot: &'static Slot, pauses: &Pauses, now_ns: u64) {
    let known = Known::of(slot);
    let (key, generation) = (slot.key.word(), slot.hand.generation());
    let own = |call: &&Arc<CallState>| {
        let opener = call.opener;
        // A connection that a client finishes in a task of its own is nobody's any more.
        let given_away = call.is_elsewhere() && call.kind == CONNECTION;
        !given_away && opener.is_some_and(|o| (o.slot, o.generation) == (key, generation))
    };
    let polled = last_poll(slot);
    let seen = |call: &Arc<CallState>| {
        let mut seen = seen(call, pauses, now_ns);
        seen.polled = call.polled() == polled;
        if seen.phase == Some(CallPhase::Pool) {
            seen.holders = holders(call, slot);
        }
        seen
    };
    let own = known.open.iter().filter(own);
    let (held, waiting): (Vec<_>, Vec<_>) = own.partition(|call| call.is_held());
    observed.calls = waiting.into_iter().map(seen).collect();
    observed.held = held.into_iter().map(seen).collect();
    observed.totals = known.totals.iter().map(total).collect();
}

/// Sequence of the poll that a slot is inside of, or was inside of last.
fn last_poll(slot: &Slot) -> u64 {
    let mark = slot.poll_mark();
    if mark.inside() {
        mark.sequence
    } else {
        mark.sequence.saturating_sub(1)
    }
}

fn seen(call: &Arc<CallState>, pauses: &Pauses, now_ns: u64) -> CallSeen {
    let made_elsewhere = made_by_another(call);
    let teller = made_elsewhere.as_ref().unwrap_or(call);
    CallSeen {
        kind: call.kind.clone().into_owned(),
        host: call.row.host.to_string(),
        port: call.row.port,
        socket: teller.address().map(peer_at),
        phase: teller.phase(),
        inferred: !call.measured || made_elsewhere.is_some(),
        rests_ms: ms(pauses.charged(teller.rests_since_ns().max(call.started_ns), now_ns)),
        elapsed_ms: ms(pauses.charged(call.started_ns, now_ns)),
        polled: false,
        elsewhere: call.is_elsewhere(),
        received_bytes: call.received_bytes(),
        holders: Vec::new(),
    }
}

/// Who makes the connection that this call waits for, if that is not it: with HTTP/2 one call
/// connects, or a task of the client, and the others wait for it.
fn made_by_another(call: &Arc<CallState>) -> Option<Arc<CallState>> {
    // A call that shares its connection cannot tell whether it is there; who is in a pool has none.
    let may_wait = match call.phase() {
        Some(CallPhase::Pool) => true,
        Some(CallPhase::WaitHeaders) => call.shares(),
        _ => false,
    };
    let untouched = call.sent_bytes() == 0 && call.received_bytes() == 0;
    if !(may_wait && untouched && call.attempts().is_empty()) {
        return None;
    }
    let connects = |other: &Arc<CallState>| {
        let phase = other.phase();
        let connects = matches!(
            phase,
            Some(CallPhase::Dns | CallPhase::Connect | CallPhase::Tls)
        );
        connects && !Arc::ptr_eq(other, call)
    };
    let mut others = call.row.open();
    others.retain(connects);
    others.into_iter().min_by_key(|other| other.started_ns)
}

/// Ids of the requests that have a connection to the host of `call`, who had one first first.
fn holders(call: &CallState, mine: &'static Slot) -> Vec<String> {
    let mut open = call.row.open();
    let has_one = |other: &Arc<CallState>| {
        other.is_held() || other.phase().is_some_and(|p| !p.is_before_connected())
    };
    open.retain(has_one);
    open.sort_by_key(|other| other.started_ns);
    let mut ids = Vec::new();
    let slots = open.iter().filter_map(|other| {
        let opener = other.opener?;
        family::slot_of(Key::from_word(opener.slot)?, opener.generation)
    });
    let request = family::request_of(mine);
    for slot in slots.filter(|slot| !std::ptr::eq(family::request_of(slot), request)) {
        let id = family::id_of(slot);
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() == HOLDERS {
            break;
        }
    }
    ids
}

fn total(total: &Total) -> CallTotal {
    CallTotal {
        kind: total.kind.clone(),
        host: total.row.host.to_string(),
        port: total.row.port,
        calls: total.calls,
        failed: total.failed,
        redirected: total.redirected,
        paged: total.paged,
        total_ms: ms(total.total_ns),
    }
}

fn peer_at(address: SocketAddr) -> Peer {
    let mut peer = Peer::default();
    peer.address = Some(address.ip().to_string());
    peer.port = Some(address.port());
    peer
}

/// Gives the calls the sockets that their future had at hand: each its own, by the address; the only
/// one to the only call that has none.
pub(super) fn join_sockets(observed: &mut Observed) {
    let sockets = &observed.sockets;
    let polled = observed.calls.iter().filter(|call| call.polled).count();
    for call in observed.calls.iter_mut().filter(|call| call.polled) {
        let fits = |socket: &&Peer| match &call.socket {
            Some(known) => (&known.address, known.port) == (&socket.address, socket.port),
            None => polled == 1 && sockets.len() == 1,
        };
        if let Some(socket) = sockets.iter().find(fits) {
            let mut socket = socket.clone();
            socket.inferred = false;
            // What a call says of itself is nearer than what its socket looks like.
            if call.phase.is_some() {
                socket.phase = None;
            }
            call.socket = Some(socket);
        }
    }
}

/// Gives calls whose connection another task has, or makes, what the kernel says of it. What was handed
/// to a client to be sent need not have been taken by the other end.
pub(super) fn join_connections(observed: &mut Observed) {
    let without = |call: &&mut CallSeen| {
        let may_have =
            |phase: CallPhase| phase == CallPhase::Connect || !phase.is_before_connected();
        let socket = call.socket.as_ref();
        call.polled
            && call.phase.is_some_and(may_have)
            && socket.is_some_and(|socket| socket.state.is_none())
    };
    for call in observed.calls.iter_mut().filter(without) {
        let (Some(phase), Some(socket)) = (call.phase, &mut call.socket) else {
            continue;
        };
        let address = socket.address.as_deref().and_then(|a| a.parse().ok());
        let (Some(ip), Some(port)) = (address, socket.port) else {
            continue;
        };
        let all = sockets_to(&[SocketAddr::new(ip, port)]);
        let states: Vec<_> = all.iter().map(|one| one.state).collect();
        let Some(its) = all.first().filter(|_| first_is_its(phase, &states)) else {
            continue;
        };
        socket.state = Some(its.state.to_owned());
        if !its.takes_more && phase == CallPhase::WaitHeaders {
            call.phase = Some(CallPhase::Write);
        }
    }
}

/// Whether the first of all connections to its address, in these states, tells of that of a call: it is the
/// only one, or all are being made, as that of a call is that connects.
fn first_is_its(phase: CallPhase, states: &[&str]) -> bool {
    match (phase, states) {
        (CallPhase::Connect, [_, ..]) => states.iter().all(|state| *state == "SYN_SENT"),
        (phase, [_]) => !phase.is_before_connected(),
        _ => false,
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_that_of_a_call_when_it_can_be_no_other() {
        const SYN: &str = "SYN_SENT";
        const UP: &str = "ESTABLISHED";
        for (phase, states, is_its) in [
            (CallPhase::WaitHeaders, vec![UP], true),
            (CallPhase::WaitHeaders, vec![UP, UP], false),
            (CallPhase::Connect, vec![SYN], true),
            (CallPhase::Connect, vec![SYN, SYN], true),
            // Of an older one; or it is there already, and its task does not know yet.
            (CallPhase::Connect, vec![UP], false),
            (CallPhase::Connect, vec![SYN, UP], false),
            (CallPhase::Connect, vec![], false),
            (CallPhase::Pool, vec![UP], false),
        ] {
            assert_eq!(first_is_its(phase, &states), is_its, "{phase:?} {states:?}");
        }
    }
}
