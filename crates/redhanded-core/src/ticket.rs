//! ① A request's hold on its slot: opened by the layer, closed by drop.
//!
//! This is the hot path. It reads the clock once a request and never per poll, takes no lock that
//! anyone waits for, allocates nothing and formats nothing.

use crate::engine::Engine;
use crate::copied::kind;
use crate::registry::{After, Mail, Slot, Stage};
use crate::worker::Worker;
use redhanded_capture::{Waiting, capture_poll, original};
use redhanded_report::How;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};

/// How many bytes of path and query are kept.
const TARGET_BYTES: usize = 512;
/// How many bytes all allow-listed headers may take together.
const HEADER_BYTES: usize = 256;

/// A request in flight. Lives until the response body has ended or was dropped.
#[derive(Debug)]
pub struct Ticket {
    slot: Option<&'static Slot>,
    engine: &'static Engine,
    /// Identity of the waker that the slot holds, to see a change without touching the lock.
    kept_waker: (usize, usize),
    how: How,
}

/// Writes what is known about a request into its slot, before anyone else can see it.
#[derive(Debug)]
pub struct Copying<'a> {
    slot: &'a Slot,
    headers_left: usize,
}

impl Copying<'_> {
    /// The method.
    #[inline]
    pub fn method(&mut self, method: &str) {
        self.slot.facts.put(kind::METHOD, method.as_bytes(), 32);
    }
    /// Path and query as they were sent.
    #[inline]
    pub fn target(&mut self, target: &str) {
        self.slot.facts.put(kind::TARGET, target.as_bytes(), TARGET_BYTES);
    }
    /// The Host header or the authority of the URI.
    #[inline]
    pub fn host(&mut self, host: &[u8]) {
        self.slot.facts.put(kind::HOST, host, 128);
    }
    /// The matched route template.
    #[inline]
    pub fn route(&mut self, route: &str) {
        self.slot.facts.put(kind::ROUTE, route.as_bytes(), 128);
    }
    /// The peer's address.
    #[inline]
    pub fn client(&mut self, client: std::net::SocketAddr) {
        let mut bytes = [0; 18];
        let (ip, port) = bytes.split_at_mut(16);
        let v6 = match client.ip() {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            std::net::IpAddr::V6(v6) => v6,
        };
        ip.copy_from_slice(&v6.octets());
        port.copy_from_slice(&client.port().to_be_bytes());
        self.slot.facts.put(kind::CLIENT, &bytes, 18);
    }
    /// The `x-request-id` header.
    #[inline]
    pub fn request_id(&mut self, id: &[u8]) {
        self.slot.facts.put(kind::REQUEST_ID, id, 64);
    }
    /// The `traceparent` header.
    #[inline]
    pub fn traceparent(&mut self, value: &[u8]) {
        self.slot.facts.put(kind::TRACEPARENT, value, 64);
    }
    /// The request came over TLS.
    #[inline]
    pub fn https(&mut self) {
        self.slot.facts.put(kind::HTTPS, &[], 0);
    }
    /// The header number `index` of the allow-list.
    #[inline]
    pub fn header(&mut self, index: u8, value: &[u8]) {
        let kept = self.slot.facts.put(kind::HEADER.saturating_add(index), value, self.headers_left);
        self.headers_left -= kept.min(self.headers_left);
    }
}

impl Engine {
    /// Opens a ticket: a slot that `copy` fills, visible to the watchdog from then on.
    ///
    /// `slow_after_ns` overrides the default threshold. After [`Engine::shutdown`], and with four
    /// million requests in flight, the ticket is empty: the request runs unwatched and is counted.
    #[inline]
    pub fn open(&'static self, slow_after_ns: Option<u64>, copy: impl FnOnce(&mut Copying<'_>)) -> Ticket {
        let mut ticket = Ticket { slot: None, engine: self, kept_waker: (0, 0), how: How::Dropped };
        if self.has_ended() {
            return ticket;
        }
        let slow_after_ns = slow_after_ns.unwrap_or(self.slow_after_ns);
        let Some(slot) = self.registry.take(Worker::here().index(), self.now_ns(), slow_after_ns) else {
            self.counts.unwatched();
            return ticket;
        };
        copy(&mut Copying { slot, headers_left: HEADER_BYTES });
        self.registry.open(slot);
        self.unpark();
        ticket.slot = Some(slot);
        ticket
    }
}

/// Marks a poll for as long as it lives; not `Send`, because a poll stays on its thread.
struct Inside {
    slot: &'static Slot,
    worker: &'static Worker,
    outer: u64,
    _here: PhantomData<*const ()>,
}

impl Inside {
    #[inline]
    fn enter(slot: &'static Slot) -> Self {
        let worker = Worker::here();
        let outer = worker.replace(slot.key);
        slot.enter(worker.index());
        Self { slot, worker, outer, _here: PhantomData }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        self.slot.leave();
        self.worker.restore(self.outer);
    }
}

impl Ticket {
    /// Runs something that is not a poll, such as a service's `call`, marked as this request's.
    #[inline]
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _inside = self.slot.map(Inside::enter);
        f()
    }

    /// Polls the request's future or body once, marked; records where it waits if the watchdog asks.
    #[inline]
    pub fn poll<R>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Poll<R> {
        let Some(slot) = self.slot else { return poll(cx) };
        let inside = Inside::enter(slot);
        let polled = if slot.wants_capture() { captured(slot, self.engine, cx, poll) } else { poll(cx) };
        if polled.is_pending() {
            self.keep_waker(slot, cx.waker());
        }
        drop(inside);
        polled
    }

    /// The response has come: from now on the body is what is watched.
    #[inline]
    pub fn responded(&self, status: u16, stage: BodyStage) {
        if let Some(slot) = self.slot {
            slot.set_stage(stage.resting(), status);
        }
    }

    /// A frame of the body was handed out; the next poll comes when the client has taken it.
    #[inline]
    pub fn frame(&self, stage: BodyStage) {
        if let Some(slot) = self.slot {
            slot.progressed();
            slot.set_stage(stage.handed_out(), slot.status().unwrap_or(0));
        }
    }

    /// The body is asked for its next frame.
    #[inline]
    pub fn asked(&self, stage: BodyStage) {
        if let Some(slot) = self.slot {
            slot.set_stage(stage.resting(), slot.status().unwrap_or(0));
        }
    }

    /// How the request ends when this ticket is dropped; [`How::Dropped`] if nobody says.
    #[inline]
    pub fn ends(&mut self, how: How) {
        self.how = how;
    }

    /// Stores the waker that a look needs, when it is another one than before.
    #[inline]
    fn keep_waker(&mut self, slot: &'static Slot, waker: &Waker) {
        let waker = original(waker);
        let identity = (waker.data() as usize, std::ptr::from_ref(waker.vtable()) as usize);
        if identity == self.kept_waker {
            return;
        }
        // Whoever holds the lock is about to release it; who finds it taken tries at the next poll.
        if let Some(mut kept) = slot.waker.try_lock() {
            let before = kept.replace(waker.clone());
            drop(kept);
            drop(before);
            self.kept_waker = identity;
        }
    }
}

/// How a response body is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyStage {
    /// Its exact length is known: it belongs to the request's time.
    Sized,
    /// Nobody knows its length: idle time counts, not age.
    Streaming,
    /// It may rest for hours: only looked at inside polls.
    LongLived,
}

impl BodyStage {
    fn resting(self) -> Stage {
        match self {
            Self::Sized => Stage::Body,
            Self::Streaming => Stage::Stream,
            Self::LongLived => Stage::LongLived,
        }
    }
    fn handed_out(self) -> Stage {
        match self {
            Self::LongLived => Stage::LongLived,
            Self::Sized | Self::Streaming => Stage::AwaitsClient,
        }
    }
}

/// One poll under the capturing waker; what it saw goes into the slot's mailbox.
#[cold]
fn captured<R>(
    slot: &'static Slot,
    engine: &'static Engine,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    slot.want_capture(false);
    let deliver = |waiting: Waiting| {
        let budget_exhausted = !tokio::task::coop::has_budget_remaining();
        let mail = Box::new(Mail { waiting, budget_exhausted });
        match slot.mailbox.try_lock() {
            Some(mut mailbox) => drop(mailbox.replace(mail)),
            None => engine.counts.lost_stack(),
        }
    };
    capture_poll(cx, deliver, poll)
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        slot.set_how(if std::thread::panicking() { How::Panicked } else { self.how });
        if slot.hand.is_kept() {
            slot.set_ended_ns(self.engine.now_ns());
        }
        let had_waker = self.kept_waker != (0, 0);
        if slot.hand.close() == After::Recycle {
            self.engine.registry.recycle(slot, !had_waker);
        }
    }
}
