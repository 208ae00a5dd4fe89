//! Which host a request waits for, if it waits for one: what the rules about hosts share.

use super::{CallSeen, Look, Observed, spoken};
use crate::calls::{CallPhase, spelled as host};
use redhanded_report::{Class, Confidence, Peer, Role, Verdict, WaitKind, WaitingFor};

/// What is to be had of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection itself.
    Connection,
    /// A name server's answer.
    Name,
    /// The other half of a TLS handshake.
    Handshake,
    /// An answer, from one that is connected and says nothing.
    Answer,
    /// The rest of an answer that has begun.
    Rest,
    /// Room for what is to be sent to it.
    Room,
    /// It has closed its side.
    Closed,
}

impl Stage {
    /// What a socket tells; `None` where nobody can say that the other end is late.
    fn of_socket(peer: &Peer) -> Option<Self> {
        const DNS: u16 = 53;
        let state = peer.state.as_deref();
        match (peer.phase.as_deref(), state) {
            (Some("connect"), _) | (_, Some("SYN_SENT")) => Some(Self::Connection),
            (Some("dns"), _) => Some(Self::Name),
            // Every TCP socket has a state, and this is none.
            (None, None) if peer.port == Some(DNS) => Some(Self::Name),
            (_, Some("CLOSE_WAIT")) => Some(Self::Closed),
            (Some("write"), None | Some("ESTABLISHED")) => Some(Self::Room),
            (_, None | Some("ESTABLISHED")) => Some(Self::Answer),
            _ => None,
        }
    }

    /// What a call tells, with its socket where that is known; `None` in a pool, which is no host.
    fn of_call(call: &CallSeen) -> Option<Self> {
        let socket = call.socket.as_ref();
        let is_connected = socket.is_some_and(|s| s.state.as_deref() == Some("ESTABLISHED"));
        Some(match call.phase {
            Some(CallPhase::Pool) => return None,
            Some(CallPhase::Dns) => Self::Name,
            // Who told "connecting" does not see the handshake that belongs to it.
            Some(CallPhase::Connect) if is_connected => Self::Handshake,
            Some(CallPhase::Connect) => Self::Connection,
            Some(CallPhase::Tls) => Self::Handshake,
            Some(CallPhase::Write) => Self::Room,
            Some(CallPhase::WaitHeaders) => Self::Answer,
            Some(CallPhase::ReadBody) => Self::Rest,
            None => socket.and_then(Self::of_socket).unwrap_or(Self::Answer),
        })
    }

    fn is_unreachable(self) -> bool {
        matches!(self, Self::Connection | Self::Name | Self::Handshake)
    }

    /// Its name among the phases of a call.
    fn phase(self) -> Option<CallPhase> {
        match self {
            Self::Connection => Some(CallPhase::Connect),
            Self::Name => Some(CallPhase::Dns),
            Self::Handshake => Some(CallPhase::Tls),
            Self::Rest => Some(CallPhase::ReadBody),
            Self::Room => Some(CallPhase::Write),
            Self::Answer | Self::Closed => None,
        }
    }
}

/// A host that a request waits for.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) stage: Stage,
    pub(super) peer: Peer,
    /// Bytes of the answer's body that have come.
    pub(super) received_bytes: u64,
    /// Others that it may wait for as well.
    others: Vec<Peer>,
    /// At most so long.
    for_ms: f64,
    confidence: Confidence,
}

impl Wait {
    /// Where the evidence speaks of a host: the outbound call that is open, the sockets that a pending
    /// future's leaves had at hand, or the call that a thread of its own is blocked in. A thread of the
    /// runtime is another matter: whom it waits for is the lesser trouble.
    pub(super) fn of(observed: &Observed) -> Option<Self> {
        match &observed.poll {
            None => Self::of_calls(observed).or_else(|| Self::of_future(observed)),
            Some(_) if observed.on_blocking_thread => Self::of_thread(observed),
            Some(_) => None,
        }
    }

    /// The outbound call that it waits for; of several, the one that rests longest.
    fn of_calls(observed: &Observed) -> Option<Self> {
        let asked = open_calls(observed)?;
        let mut calls: Vec<&CallSeen> = asked.calls;
        calls.sort_by(|a, b| b.rests_ms.total_cmp(&a.rests_ms));
        let (&call, others) = calls.split_first()?;
        let stage = Stage::of_call(call)?;
        let for_ms = call.rests_ms.min(observed.elapsed_ms);
        let elsewhere = others.iter().any(|other| !is_same_host(call, other));
        let confidence = if !asked.surely || elsewhere || !is_most_of_it(for_ms, observed) {
            Confidence::Suspected
        } else if is_seen_connecting(call) && asked.alone {
            Confidence::Proved
        } else {
            Confidence::Likely
        };
        Some(Self {
            stage,
            peer: peer_of(call),
            received_bytes: call.received_bytes,
            others: others.iter().map(|call| peer_of(call)).collect(),
            for_ms,
            confidence,
        })
    }

    fn of_future(observed: &Observed) -> Option<Self> {
        let Some(Look::Polled {
            pending: true,
            leaves: 1..,
            woke_itself,
            budget_exhausted,
        }) = observed.look
        else {
            return None;
        };
        let mut waits: Vec<(Stage, &Peer)> = observed
            .sockets
            .iter()
            .filter_map(|peer| Some((Stage::of_socket(peer)?, peer)))
            .collect();
        // One that is not even connected is more than one that says nothing for the moment.
        waits.sort_by_key(|(stage, _)| !stage.is_unreachable());
        let (&(stage, peer), others) = waits.split_first()?;
        // A future that wakes itself, or one whose budget was used up, is pending for another reason.
        // What was silent before anybody asked is not late.
        let for_ms = peer
            .elapsed_ms
            .map_or(observed.elapsed_ms, |ms| ms.min(observed.elapsed_ms));
        let is_late = stage.is_unreachable() || is_most_of_it(for_ms, observed);
        let alone = others.is_empty() && !woke_itself && !budget_exhausted;
        let confidence = if alone && is_late {
            Confidence::Likely
        } else {
            Confidence::Suspected
        };
        Some(Self {
            stage,
            peer: named_by_a_call(peer, observed),
            received_bytes: 0,
            others: others.iter().map(|(_, peer)| (*peer).clone()).collect(),
            for_ms,
            confidence,
        })
    }

    fn of_thread(observed: &Observed) -> Option<Self> {
        let poll = observed.poll.as_ref()?;
        if !poll.is_mostly_asleep() {
            return None;
        }
        let peer = match &poll.peer {
            Some(peer) => named_by_a_call(peer, observed),
            // A driver that has a runtime of its own waits for all of its sockets at once.
            None if poll.syscall.as_deref().is_some_and(waits_for_many) => only_call(observed)?,
            None => return None,
        };
        let never_ran = poll.timeslices == Some(0) && poll.asleep == poll.samples;
        Some(Self {
            stage: Stage::of_socket(&peer)?,
            peer,
            received_bytes: 0,
            others: Vec::new(),
            for_ms: poll.stood_ms,
            confidence: if never_ran || poll.samples >= 5 {
                Confidence::Likely
            } else {
                Confidence::Suspected
            },
        })
    }

    pub(super) fn is_unreachable(&self) -> bool {
        self.stage.is_unreachable()
    }

    /// The host, its address and port.
    pub(super) fn host(&self) -> String {
        host(&self.peer)
    }

    /// How long, in words.
    pub(super) fn spoken(&self) -> String {
        spoken(self.for_ms)
    }

    pub(super) fn verdict(self, class: Class, mut cause: String) -> Verdict {
        let waits_for = self.host();
        if !self.others.is_empty() {
            let others: Vec<String> = self.others.iter().take(3).map(host).collect();
            let what = if self.peer.name.is_some() {
                "calls open"
            } else {
                "sockets at hand"
            };
            cause += &format!(
                "; it has {} {what} and may wait for another one ({})",
                self.others.len() + 1,
                others.join(", ")
            );
        }
        let mut verdict = Verdict::new(class, Role::Culprit, self.confidence, cause);
        let mut peer = self.peer;
        peer.elapsed_ms = Some(self.for_ms);
        let unreachable = self.stage.phase().filter(|_| self.stage.is_unreachable());
        peer.phase = unreachable
            .map(|phase| phase.as_str().to_owned())
            .or(peer.phase);
        verdict.peer = Some(peer);
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Socket, waits_for));
        verdict
    }
}

/// Open calls that a request may wait for.
pub(super) struct Asked<'o> {
    pub(super) calls: Vec<&'o CallSeen>,
    /// They were polled in the poll that was looked at.
    pub(super) surely: bool,
    /// There is one, and its poll had one leaf.
    alone: bool,
}

/// The calls that the poll before has polled, else all that are open: a set of futures polls only
/// those that were woken. `None` if it has none, or does not wait.
pub(super) fn open_calls(observed: &Observed) -> Option<Asked<'_>> {
    let (surely, one_leaf) = match observed.look {
        Some(Look::Polled {
            pending: true,
            leaves,
            woke_itself,
            budget_exhausted,
        }) => (!woke_itself && !budget_exhausted, leaves <= 1),
        Some(Look::Forbidden) => (true, false),
        _ => return None,
    };
    let polled: Vec<&CallSeen> = observed.calls.iter().filter(|call| call.polled).collect();
    let any = !polled.is_empty();
    let calls = if any {
        polled
    } else {
        observed.calls.iter().collect()
    };
    if calls.is_empty() {
        return None;
    }
    Some(Asked {
        alone: any && calls.len() == 1 && one_leaf,
        // One that was not polled may as well rest, as an answer does that nobody reads.
        surely: surely && any,
        calls,
    })
}

/// Most of its time, or so long that it is late by this alone.
pub(super) fn is_most_of_it(for_ms: f64, observed: &Observed) -> bool {
    for_ms >= 0.5 * observed.elapsed_ms || for_ms >= observed.slow_after_ms.max(1.0)
}

/// The call says that it connects, and the kernel says that nobody answers.
fn is_seen_connecting(call: &CallSeen) -> bool {
    let state = call.socket.as_ref().and_then(|s| s.state.as_deref());
    call.phase == Some(CallPhase::Connect) && !call.inferred && state == Some("SYN_SENT")
}

fn is_same_host(a: &CallSeen, b: &CallSeen) -> bool {
    (&a.host, a.port) == (&b.host, b.port)
}

/// The remote end of a call as reports have it.
pub(super) fn peer_of(call: &CallSeen) -> Peer {
    let mut peer = call.socket.clone().unwrap_or_default();
    peer.name = Some(call.host.clone());
    // What it was asked for by may be a scheme's default, and a resolver's word counts more.
    peer.port = peer.port.or(call.port);
    let told = call.phase.map(|phase| phase.as_str().to_owned());
    peer.phase = told.or(peer.phase);
    peer.inferred = call.inferred || call.phase.is_none() || !call.polled;
    peer
}

/// A peer that a socket has told, with the name by which the only host that fits was asked for, by
/// a call or by who has a connection of its pool.
pub(super) fn named_by_a_call(peer: &Peer, observed: &Observed) -> Peer {
    let mut peer = peer.clone();
    let fits =
        |call: &&CallSeen| call.port.is_none() || peer.port.is_none() || call.port == peer.port;
    let mut fitting = observed.calls.iter().chain(&observed.held).filter(fits);
    if let Some(call) = fitting.next()
        && fitting.all(|other| is_same_host(call, other))
    {
        peer.name = Some(call.host.clone());
    }
    peer
}

/// The host that a thread calls, where it calls no other: nothing but the call itself tells it.
pub(super) fn only_call(observed: &Observed) -> Option<Peer> {
    let (call, others) = observed.calls.split_first()?;
    let alone = others.iter().all(|other| is_same_host(call, other));
    alone.then(|| peer_of(call))
}

fn waits_for_many(syscall: &str) -> bool {
    ["epoll", "poll", "ppoll", "select", "pselect"]
        .iter()
        .any(|name| syscall.starts_with(name))
}

#[cfg(all(test, not(redhanded_loom)))]
pub(super) mod tests {
    use super::*;
    use crate::verdict::StandingPoll;

    pub(in crate::verdict) fn peer(
        address: &str,
        port: u16,
        state: Option<&str>,
        phase: Option<&str>,
    ) -> Peer {
        let mut peer = Peer::default();
        peer.address = Some(address.to_owned());
        peer.port = Some(port);
        peer.state = state.map(str::to_owned);
        peer.phase = phase.map(str::to_owned);
        peer
    }

    /// A future that was 31 seconds old and pending when it was asked.
    pub(in crate::verdict) fn pending(sockets: &[Peer]) -> Observed {
        Observed {
            elapsed_ms: 31_000.0,
            slow_after_ms: 2000.0,
            polls: 2,
            sockets: sockets.to_vec(),
            look: Some(Look::Polled {
                pending: true,
                leaves: 1,
                woke_itself: false,
                budget_exhausted: false,
            }),
            ..Observed::default()
        }
    }

    /// A thread that sat in one call for 31 seconds.
    pub(in crate::verdict) fn blocked(peer: Peer, on_blocking_thread: bool) -> Observed {
        let poll = StandingPoll {
            stood_ms: 31_000.0,
            window_ms: 30_000.0,
            thread: "w".into(),
            samples: 20,
            asleep: 20,
            cpu_ms: Some(0.0),
            timeslices: Some(0),
            syscall: Some("recvfrom".into()),
            peer: Some(peer),
            shared_frames: 9,
            ..StandingPoll::default()
        };
        Observed {
            elapsed_ms: 31_000.0,
            polls: 1,
            poll: Some(poll),
            on_blocking_thread,
            ..Observed::default()
        }
    }

    #[test]
    fn hosts_are_written_as_people_write_them() {
        assert_eq!(host(&peer("10.0.0.7", 5432, None, None)), "10.0.0.7:5432");
        assert_eq!(host(&peer("fe80::7%3", 53, None, None)), "[fe80::7%3]:53");
        let mut unix = Peer::default();
        unix.address = Some("/run/db.sock".into());
        assert_eq!(host(&unix), "/run/db.sock");
    }

    #[test]
    fn a_state_that_says_nothing_about_the_other_end_accuses_nobody() {
        for state in ["FIN_WAIT2", "CLOSE", "TIME_WAIT", "LISTEN"] {
            let observed = pending(&[peer("10.0.0.7", 80, Some(state), None)]);
            assert!(Wait::of(&observed).is_none(), "{state}");
        }
    }

    #[test]
    fn without_a_pending_poll_there_is_no_wait() {
        let mut observed = pending(&[peer("10.0.0.7", 80, Some("ESTABLISHED"), None)]);
        for look in [
            None,
            Some(Look::Forbidden),
            Some(Look::Unanswered {
                for_ms: 90.0,
                no_waker: false,
            }),
            Some(Look::Polled {
                pending: false,
                leaves: 1,
                woke_itself: false,
                budget_exhausted: false,
            }),
        ] {
            observed.look = look;
            assert!(Wait::of(&observed).is_none());
        }
    }

    /// A call that has been open for 30.5 of the request's 31 seconds.
    pub(in crate::verdict) fn call(host: &str, port: u16, phase: Option<CallPhase>) -> CallSeen {
        CallSeen {
            kind: "http".into(),
            host: host.into(),
            port: Some(port),
            phase,
            rests_ms: 30_500.0,
            elapsed_ms: 30_500.0,
            polled: true,
            ..CallSeen::default()
        }
    }

    /// The same future as [`pending`], with these calls.
    pub(in crate::verdict) fn calling(calls: &[CallSeen]) -> Observed {
        Observed {
            calls: calls.to_vec(),
            ..pending(&[])
        }
    }

    #[test]
    fn a_name_stands_behind_its_address() {
        let mut named = peer("10.0.0.7", 5432, None, None);
        named.name = Some("db1".into());
        assert_eq!(host(&named), "10.0.0.7:5432 (db1)");
        named.address = None;
        assert_eq!(host(&named), "db1:5432");
        named.name = Some("::1".into());
        assert_eq!(host(&named), "[::1]:5432");
    }

    #[test]
    fn the_port_is_the_one_that_is_connected_to() {
        let mut connecting = call("db1", 80, Some(CallPhase::Connect));
        connecting.socket = Some(peer("10.0.0.7", 8080, None, None));
        let wait = Wait::of(&calling(&[connecting])).expect("waits");
        assert_eq!(wait.host(), "10.0.0.7:8080 (db1)");
    }

    #[test]
    fn a_call_that_is_not_polled_counts_only_without_one_that_is() {
        let mut idle = call("idle", 80, Some(CallPhase::WaitHeaders));
        idle.polled = false;
        let busy = call("busy", 80, Some(CallPhase::WaitHeaders));
        let wait = Wait::of(&calling(&[idle.clone(), busy])).expect("waits");
        assert_eq!((wait.host().as_str(), wait.others.len()), ("busy:80", 0));
        let wait = Wait::of(&calling(&[idle])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Suspected);
        assert!(wait.peer.inferred, "it may as well wait for something else");
    }

    #[test]
    fn one_of_two_hosts_is_suspected_and_two_calls_to_one_host_are_not() {
        let a = call("a", 80, Some(CallPhase::WaitHeaders));
        let b = call("b", 80, Some(CallPhase::WaitHeaders));
        let wait = Wait::of(&calling(&[a.clone(), b])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Suspected);
        let wait = Wait::of(&calling(&[a.clone(), a])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Likely);
    }

    #[test]
    fn who_holds_a_connection_knows_whose_a_socket_is() {
        let mut observed = pending(&[peer("10.0.0.7", 5432, Some("ESTABLISHED"), None)]);
        observed.held = vec![call("db1", 5432, Some(CallPhase::Pool))];
        let name = |observed: &Observed| Wait::of(observed).expect("waits").peer.name;
        assert_eq!(name(&observed).as_deref(), Some("db1"));
        observed.held.push(call("db1", 5432, None));
        assert_eq!(name(&observed).as_deref(), Some("db1"), "the same host");
        // The nearest innocents: another port, and two hosts with the same.
        observed.held = vec![call("cache1", 6379, None)];
        assert_eq!(name(&observed), None);
        observed.held = vec![call("db1", 5432, None), call("db2", 5432, None)];
        assert_eq!(name(&observed), None);
    }

    #[test]
    fn a_thread_that_waits_for_many_things_waits_for_the_host_that_it_calls() {
        let mut observed = blocked(Peer::default(), true);
        let poll = observed.poll.as_mut().expect("inside");
        (poll.peer, poll.syscall) = (None, Some("epoll_wait".into()));
        assert!(Wait::of(&observed).is_none(), "it calls nobody");
        observed.calls = vec![call("db1", 5432, None)];
        let wait = Wait::of(&observed).expect("waits");
        assert_eq!(wait.host(), "db1:5432");
        assert!(wait.peer.inferred);
        observed.calls.push(call("db2", 5432, None));
        assert!(Wait::of(&observed).is_none(), "one of two");
        // A lock is no host.
        observed.calls.truncate(1);
        observed.poll.as_mut().expect("inside").syscall = Some("futex".into());
        assert!(Wait::of(&observed).is_none());
    }

    #[test]
    fn a_call_that_has_only_begun_is_not_what_made_it_late() {
        let mut fresh = call("a", 80, Some(CallPhase::WaitHeaders));
        fresh.rests_ms = 20.0;
        let wait = Wait::of(&calling(&[fresh])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Suspected);
    }

    #[test]
    fn a_connect_that_the_kernel_sees_as_well_is_proved_unless_it_was_concluded() {
        let mut connecting = call("db1", 5432, Some(CallPhase::Connect));
        connecting.socket = Some(peer("10.0.0.7", 5432, Some("SYN_SENT"), Some("connect")));
        let wait = Wait::of(&calling(&[connecting.clone()])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Proved);
        connecting.inferred = true;
        let wait = Wait::of(&calling(&[connecting])).expect("waits");
        assert_eq!(wait.confidence, Confidence::Likely);
    }
}
