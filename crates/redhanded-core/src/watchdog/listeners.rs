//! Connections that wait while nobody accepts them.

use super::Watchdog;
use super::crowd::crowd_of;
use super::episodes::Episodes;
use super::standing::ms;
use crate::accepting::Socket;
use crate::verdict::{NotAccepted, judge_not_accepted};
use redhanded_capture::AcceptQueue;
use redhanded_report::{Evidence, Machine};
use std::sync::Arc;

/// Listeners are looked at no more often than that.
const EVERY_NS: u64 = 250_000_000;
/// In so many looks on end the same connections must be found waiting.
const LOOKS: u32 = 3;

/// What is remembered of listeners from look to look.
pub(super) struct ListenerLooks {
    /// By the address of the record, which the list of what was seen keeps alive.
    episodes: Episodes<usize>,
    seen: Vec<Seen>,
    next_ns: u64,
}

struct Seen {
    socket: Arc<Socket>,
    /// Connections that had been accepted.
    accepted: u64,
}

/// A listener where nothing was accepted for too long.
struct Stalled {
    socket: Arc<Socket>,
    queue: AcceptQueue,
    since_ns: u64,
}

fn kind(socket: &Arc<Socket>) -> usize {
    Arc::as_ptr(socket).addr()
}

impl ListenerLooks {
    /// Nobody need accept sooner than `slow_after_ns`.
    pub(super) fn new(slow_after_ns: u64) -> Self {
        Self {
            episodes: Episodes::new(LOOKS, slow_after_ns),
            seen: Vec::new(),
            next_ns: 0,
        }
    }

    /// Looks at all listeners, if it is time to; returns those whose episode has begun.
    fn look(&mut self, sockets: Vec<Arc<Socket>>, now_ns: u64) -> Vec<Stalled> {
        for gone in self.seen.iter().map(|seen| &seen.socket) {
            if !sockets.iter().any(|socket| Arc::ptr_eq(socket, gone)) {
                self.episodes.note(kind(gone), false, now_ns);
            }
        }
        let before = std::mem::take(&mut self.seen);
        let mut stalled = Vec::new();
        for socket in sockets {
            let accepted = socket.doing().accepted;
            let known = before.iter().find(|s| Arc::ptr_eq(&s.socket, &socket));
            let none = known.is_none_or(|seen| seen.accepted == accepted);
            let queue = socket.queue().filter(|queue| queue.waiting > 0);
            // Two looks that find somebody waiting and nobody accepted in between: the same wait.
            let began = self
                .episodes
                .note(kind(&socket), none && queue.is_some(), now_ns);
            if let (Some(began), Some(queue)) = (began, queue) {
                stalled.push(Stalled {
                    socket: socket.clone(),
                    queue,
                    since_ns: began.since_ns,
                });
            }
            self.seen.push(Seen { socket, accepted });
        }
        stalled
    }

    /// Nobody could accept while nobody ran.
    pub(super) fn start_over(&mut self) {
        self.episodes.start_over();
    }
}

impl Watchdog {
    /// Tells once of every listener where connections wait and none is accepted.
    pub(super) fn look_at_listeners(&mut self, now_ns: u64) {
        if now_ns < self.listeners.next_ns || !self.engine.listeners.any() {
            return;
        }
        self.listeners.next_ns = now_ns + EVERY_NS;
        let sockets = self.engine.listeners.all();
        for stalled in self.listeners.look(sockets, now_ns) {
            let seen = self.not_accepted(&stalled, now_ns);
            let mut machine = Machine::default();
            if seen.crowd.workers > 0 {
                machine.workers_total = Some(seen.crowd.workers);
                machine.workers_busy = Some(seen.crowd.standing);
            }
            let mut evidence = Evidence::default();
            evidence.machine = Some(machine);
            let lasted_ns = now_ns.saturating_sub(stalled.since_ns);
            let verdict = judge_not_accepted(&seen);
            self.file_trouble(&stalled.socket.name, verdict, lasted_ns, evidence, now_ns);
        }
    }

    fn not_accepted(&self, stalled: &Stalled, now_ns: u64) -> NotAccepted {
        let doing = stalled.socket.doing();
        let ago = |ns: u64| ms(now_ns.saturating_sub(ns));
        let crowd = |runtime| {
            let (polls, early_ns) = (&self.standing, self.pace.early_ns);
            crowd_of(runtime, None, None, polls, early_ns, now_ns)
        };
        NotAccepted {
            listener: stalled.socket.name.clone(),
            waiting: stalled.queue.waiting,
            limit: stalled.queue.limit,
            for_ms: ago(stalled.since_ns),
            polled_ms: doing.polled_ns.map(ago),
            inside: doing.inside,
            error: doing.error,
            crowd: doing.runtime.map(crowd).unwrap_or_default(),
        }
    }
}
