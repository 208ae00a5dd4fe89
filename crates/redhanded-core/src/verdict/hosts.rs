//! Which host a request waits for, if it waits for one: what the rules about hosts share.

use super::{Look, Observed, spoken};
use redhanded_report::{Class, Confidence, Peer, Role, Verdict, WaitKind, WaitingFor};

/// What is to be had of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection itself.
    Connection,
    /// A name server's answer.
    Name,
    /// An answer, from one that is connected and says nothing.
    Answer,
    /// Room for what is to be sent to it.
    Room,
    /// It has closed its side.
    Closed,
}

impl Stage {
    /// `None` where nobody can say that the other end is late.
    fn of(peer: &Peer) -> Option<Self> {
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

    fn is_unreachable(self) -> bool {
        matches!(self, Self::Connection | Self::Name)
    }
}

/// A host that a request waits for.
#[derive(Debug)]
pub(super) struct Wait<'o> {
    pub(super) stage: Stage,
    pub(super) peer: &'o Peer,
    /// Others that it may wait for as well.
    others: Vec<&'o Peer>,
    /// At most so long.
    for_ms: f64,
    confidence: Confidence,
}

impl<'o> Wait<'o> {
    /// Where the evidence speaks of a host: the sockets that a pending future's leaves had at hand, or the call that a
    /// thread of its own is blocked in. A thread of the runtime is another matter: whom it waits for is the lesser trouble.
    pub(super) fn of(observed: &'o Observed) -> Option<Self> {
        match &observed.poll {
            None => Self::of_future(observed),
            Some(_) if observed.on_blocking_thread => Self::of_thread(observed),
            Some(_) => None,
        }
    }

    fn of_future(observed: &'o Observed) -> Option<Self> {
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
            .filter_map(|peer| Some((Stage::of(peer)?, peer)))
            .collect();
        // One that is not even connected is more than one that says nothing for the moment.
        waits.sort_by_key(|(stage, _)| !stage.is_unreachable());
        let (&(stage, peer), others) = waits.split_first()?;
        // A future that wakes itself, or one whose budget was used up, is pending for another reason.
        let confidence = if others.is_empty() && !woke_itself && !budget_exhausted {
            Confidence::Likely
        } else {
            Confidence::Suspected
        };
        Some(Self {
            stage,
            peer,
            others: others.iter().map(|(_, peer)| *peer).collect(),
            // What was silent before anybody asked is not late.
            for_ms: peer
                .elapsed_ms
                .map_or(observed.elapsed_ms, |ms| ms.min(observed.elapsed_ms)),
            confidence,
        })
    }

    fn of_thread(observed: &'o Observed) -> Option<Self> {
        let poll = observed.poll.as_ref()?;
        let peer = poll.peer.as_ref()?;
        if !poll.is_mostly_asleep() {
            return None;
        }
        let never_ran = poll.timeslices == Some(0) && poll.asleep == poll.samples;
        Some(Self {
            stage: Stage::of(peer)?,
            peer,
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
        host(self.peer)
    }

    /// How long, in words.
    pub(super) fn spoken(&self) -> String {
        spoken(self.for_ms)
    }

    pub(super) fn verdict(&self, class: Class, mut cause: String) -> Verdict {
        if !self.others.is_empty() {
            let others: Vec<String> = self.others.iter().take(3).map(|peer| host(peer)).collect();
            cause += &format!(
                "; it has {} sockets at hand and may wait for another one ({})",
                self.others.len() + 1,
                others.join(", ")
            );
        }
        let mut verdict = Verdict::new(class, Role::Culprit, self.confidence, cause);
        let mut peer = self.peer.clone();
        peer.elapsed_ms = Some(self.for_ms);
        let phase = match self.stage {
            Stage::Connection => Some("connect"),
            Stage::Name => Some("dns"),
            _ => None,
        };
        peer.phase = phase.map(str::to_owned).or(peer.phase);
        verdict.peer = Some(peer);
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Socket, self.host()));
        verdict
    }
}

fn host(peer: &Peer) -> String {
    let address = peer.address.as_deref().unwrap_or("an unknown address");
    match peer.port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
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
}
