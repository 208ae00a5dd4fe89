//! ① A request's hold on its slot: opened by the layer, closed by drop.
//!
//! This is the hot path. It reads the clock once a request and never per poll, takes no lock that
//! anyone waits for, allocates nothing and formats nothing.

use crate::baseline::{self, Pace, Tag};
use crate::connection::{self, Client, Connection, Word};
use crate::copied::{client_bytes, kind};
use crate::engine::Engine;
use crate::keep;
use crate::memory;
use crate::metrics;
use crate::pulse;
use crate::registry::{After, Key, Mail, Place, Slot, Stage, Writer};
use crate::worker::Worker;
use redhanded_capture::alloc::is_counting;
use redhanded_capture::monotonic_ns as now_ns;
use redhanded_capture::{Waiting, capture_poll, original};
use redhanded_report::How;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};

/// How many bytes of path and query are kept.
const TARGET_BYTES: usize = 512;
/// How many bytes all allow-listed headers may take together.
const HEADER_BYTES: usize = 256;

/// A request in flight. Lives until the response body has ended or was dropped.
///
/// One word: it is moved with every future and body around it. An empty one watches nothing.
#[derive(Debug, Default)]
pub struct Ticket(Option<&'static Slot>);

/// Writes what is known about a request into its slot, before anyone else can see it.
#[derive(Debug)]
pub struct Copying<'a> {
    slot: &'static Slot,
    facts: &'a mut Writer<'static>,
    headers_left: usize,
    route: Tag,
}

impl Copying<'_> {
    /// The method.
    #[inline]
    pub fn method(&mut self, method: &str) {
        if method == "HEAD" {
            self.slot.set_bodyless();
        }
        self.facts.put(kind::METHOD, method.as_bytes(), 32);
    }
    /// Path and query as they were sent.
    #[inline]
    pub fn target(&mut self, target: &str) {
        self.facts
            .put(kind::TARGET, target.as_bytes(), TARGET_BYTES);
    }
    /// The Host header or the authority of the URI.
    #[inline]
    pub fn host(&mut self, host: &[u8]) {
        self.facts.put(kind::HOST, host, 128);
    }
    /// The matched route template.
    #[inline]
    pub fn route(&mut self, route: &str) {
        self.route = Tag::of(route);
        self.facts.put(kind::ROUTE, route.as_bytes(), 128);
    }
    /// The peer's address.
    #[inline]
    pub fn client(&mut self, client: std::net::SocketAddr) {
        self.facts.put(kind::CLIENT, &client_bytes(client), 18);
    }
    /// It may rest for hours, before it answers and while it does.
    #[inline]
    pub fn long_lived(&mut self) {
        self.slot.set_stage(Stage::LongLived);
    }
    /// Whether the connection it came on is known.
    #[inline]
    pub fn has_connection(&self) -> bool {
        self.slot.connection() != 0
    }
    /// The connection it came on.
    #[inline]
    pub fn connection(&mut self, client: Client) {
        self.slot.set_connection(client.word().word());
        if let Some(address) = client.address() {
            self.client(address);
        }
    }
    /// The `x-request-id` header.
    #[inline]
    pub fn request_id(&mut self, id: &[u8]) {
        self.facts.put(kind::REQUEST_ID, id, 64);
    }
    /// The `traceparent` header.
    #[inline]
    pub fn traceparent(&mut self, value: &[u8]) {
        self.facts.put(kind::TRACEPARENT, value, 64);
        keep::decide(self.slot, value);
    }
    /// The request came over TLS.
    #[inline]
    pub fn https(&mut self) {
        self.slot.set_https();
        self.facts.put(kind::HTTPS, &[], 0);
    }
    /// The header number `index` of the allow-list.
    #[inline]
    pub fn header(&mut self, index: u8, value: &[u8]) {
        let kept = self
            .facts
            .put(kind::HEADER.saturating_add(index), value, self.headers_left);
        self.headers_left -= kept.min(self.headers_left);
    }
}

impl Engine {
    /// Opens a ticket: a slot that `copy` fills, visible to the watchdog from then on.
    ///
    /// `slow_after_ns` overrides the default threshold. After [`Installed::shutdown`](crate::Installed::shutdown), and with four
    /// million requests in flight, the ticket is empty: the request runs unwatched and is counted.
    #[inline]
    pub fn open(
        &'static self,
        slow_after_ns: Option<u64>,
        copy: impl FnOnce(&mut Copying<'_>),
    ) -> Ticket {
        self.open_sampled(slow_after_ns, |slot, facts| {
            let mut copying = Copying {
                slot,
                facts,
                headers_left: HEADER_BYTES,
                route: Tag::default(),
            };
            // First, because the last word counts: an address that the request brings is its own.
            if connection::any()
                && let Some(client) = connection_of(slot)
            {
                copying.connection(client);
            }
            copy(&mut copying);
            Some(copying.route)
        })
    }

    /// Opens a ticket whose slot and facts `fill` completes before anyone sees them.
    #[inline]
    pub(crate) fn open_with(
        &'static self,
        slow_after_ns: Option<u64>,
        fill: impl FnOnce(&'static Slot, &mut Writer<'static>),
    ) -> Ticket {
        self.open_sampled(slow_after_ns, |slot, facts| {
            fill(slot, facts);
            None
        })
    }

    /// The same; where `fill` says by what its route is told, it may become one of the normal
    /// requests that culprits are compared with.
    #[inline]
    pub(crate) fn open_sampled(
        &'static self,
        slow_after_ns: Option<u64>,
        fill: impl FnOnce(&'static Slot, &mut Writer<'static>) -> Option<Tag>,
    ) -> Ticket {
        if self.has_ended() {
            return Ticket(None);
        }
        let slow_after_ns = slow_after_ns.unwrap_or(self.slow_after_ns);
        let worker = Worker::here();
        let Some(slot) = self.registry.take(worker.index(), now_ns(), slow_after_ns) else {
            self.counts.unwatched();
            return Ticket(None);
        };
        let mut facts = slot.facts.rewrite();
        let route = fill(slot, &mut facts);
        let kinds = facts.done();
        if let Some(route) = route {
            if !worker.pace.passes(route) {
                self.pick(slot, &worker.pace, route);
            }
            if let Some(recorder) = &self.recorder {
                recorder.begin(slot, kinds);
            }
        }
        slot.open();
        self.unpark();
        Ticket(Some(slot))
    }

    /// The countdown of a thread is over: the request in `slot` is to be kept for comparison, and may be one of
    /// the baseline that is exported whole.
    #[cold]
    #[inline(never)]
    fn pick(&self, slot: &Slot, pace: &Pace, route: Tag) {
        let counted = self.baseline.pick(slot, pace, route, self.at_most_one_in());
        keep::picked(slot, counted);
    }

    /// Opens a ticket for a request that has begun to come on `connection` and is not whole: its
    /// age is judged like a request's, and nobody is woken for it. `None` as with [`open`](Self::open).
    #[cold]
    pub fn open_head(&'static self, connection: &Connection) -> Option<Ticket> {
        let ticket = self.open_with(None, |slot, facts| {
            slot.set_stage(Stage::Head);
            slot.set_worker(Worker::here().index());
            let mut copying = Copying {
                slot,
                facts,
                headers_left: 0,
                route: Tag::default(),
            };
            copying.connection(connection.client());
        });
        ticket.0.is_some().then_some(ticket)
    }
}

/// The connection of the request that is being opened in `slot`. A request within a request came on
/// the same one, and is not what the connection waits for.
#[cold]
#[inline(never)]
fn connection_of(slot: &Slot) -> Option<Client> {
    let nested = Worker::here().current().is_some();
    connection::here((!nested).then_some(slot))
}

/// Something in progress that belongs to a request: marked until [`leave`](Self::leave). Dropped
/// without that, it was left by a panic, and that is how its request ends. Not `Send`, because a
/// poll stays on its thread.
#[must_use = "dropping it means that a panic has left it"]
#[derive(Debug)]
pub struct Inside(Option<Mark>);

impl Inside {
    /// It is over, in good order.
    #[inline]
    pub fn leave(self) {
        if let Some(mark) = self.0 {
            mark.leave();
        }
    }
}

#[derive(Debug)]
struct Mark {
    slot: &'static Slot,
    worker: &'static Worker,
    outer: u64,
    _here: PhantomData<*const ()>,
}

impl Mark {
    #[inline]
    fn enter(slot: &'static Slot) -> Self {
        let worker = Worker::here();
        let outer = worker.replace(slot.key);
        if is_counting() {
            memory::charge(slot);
        }
        slot.enter(worker.index());
        Self {
            slot,
            worker,
            outer,
            _here: PhantomData,
        }
    }

    #[inline]
    fn leave(self) {
        self.slot.leave();
        self.worker.restore(self.outer);
        if is_counting() {
            memory::settle(self.slot);
        }
        std::mem::forget(self);
    }
}

impl Drop for Mark {
    /// Only a panic comes here; the ticket may be dropped much later, by whoever catches it.
    #[cold]
    fn drop(&mut self) {
        self.slot.set_panicked();
        self.slot.leave();
        self.worker.restore(self.outer);
        if is_counting() {
            memory::settle(self.slot);
        }
    }
}

impl Ticket {
    /// Which slot it holds, and for which generation; `None` for an empty one.
    pub(crate) fn identity(&self) -> Option<(Key, u32)> {
        self.0.map(|slot| (slot.key, slot.hand.generation()))
    }

    /// Marks something that is not a poll, such as a service's `call`, as this request's.
    #[inline(always)]
    pub fn enter(&self) -> Inside {
        // Inlined for certain: in the frame of whoever calls this.
        let here = 0_u8;
        if let Some(slot) = self.0 {
            slot.set_frame((&raw const here).addr());
        }
        Inside(self.0.map(Mark::enter))
    }

    /// Polls the request's future or body once, marked; records where it waits if the watchdog asks. It lies at `place`,
    /// pinned: what it refers to there tells what it holds.
    #[inline]
    pub fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        place: Place,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let Some(slot) = self.0 else { return poll(cx) };
        let here = 0_u8;
        slot.set_frame((&raw const here).addr());
        let mark = Mark::enter(slot);
        let looked_at = slot.wants_capture();
        let polled = if looked_at {
            captured(slot, cx, poll)
        } else {
            poll(cx)
        };
        if polled.is_pending() {
            keep_waker(slot, cx.waker());
            slot.set_future(place);
            if !looked_at {
                slot.set_rests_since_ns(pulse::last_ns());
            }
        }
        mark.leave();
        polled
    }

    /// The response has come: from now on the body is what is watched. `left` is its exact length
    /// in bytes, where that is known; nothing left is the end. So is a response that may have no
    /// body (RFC 9110, section 6.4.1), whatever is in its place: nobody will ask for it.
    #[inline]
    pub fn responded(&mut self, status: u16, left: Option<u64>, stage: BodyStage) {
        let Some(slot) = self.0 else { return };
        let left = if matches!(status, 204 | 304) || slot.is_bodyless() {
            Some(0)
        } else {
            left
        };
        slot.responded(status, left, stage.resting());
        if left == Some(0) {
            self.end(How::Completed);
        }
    }

    /// A frame of `bytes` was handed out; the next poll comes when the client has taken it. With
    /// `last`, the body says that it was the last one, and nobody need poll for more. After the last
    /// byte of a known length there may still be trailers, which nobody need ask for either: to be
    /// dropped then is a good end.
    #[inline]
    pub fn frame(&mut self, bytes: u64, last: bool) {
        let Some(slot) = self.0 else { return };
        slot.progressed();
        slot.sent(bytes);
        if is_counting() {
            slot.memory.hand_out(bytes);
        }
        if last {
            return self.end(How::Completed);
        }
        if slot.stage() != Stage::LongLived {
            slot.set_stage(if slot.stage() == Stage::Body {
                Stage::BodyOut
            } else {
                Stage::StreamOut
            });
        }
    }

    /// The body is asked for its next frame.
    #[inline]
    pub fn asked(&self) {
        let Some(slot) = self.0 else { return };
        match slot.stage() {
            Stage::BodyOut => slot.set_stage(Stage::Body),
            Stage::StreamOut => slot.set_stage(Stage::Stream),
            _ => {}
        }
    }

    /// It ends here, with an error of the service in place of a response.
    #[cold]
    pub fn fail(&mut self) {
        if let Some(slot) = self.0 {
            slot.set_failed();
        }
        self.end(How::Completed);
    }

    /// The request ends here and so; later calls do nothing.
    #[inline]
    pub fn end(&mut self, how: How) {
        if let Some(slot) = self.0.take() {
            close(slot, how);
        }
    }
}

/// Stores the waker that a look needs, when it is another one than before.
#[inline]
fn keep_waker(slot: &'static Slot, waker: &Waker) {
    let waker = original(waker);
    let identity = [
        waker.data() as u64,
        std::ptr::from_ref(waker.vtable()) as u64,
    ];
    if identity == slot.kept_waker() {
        return;
    }
    // Whoever holds the lock is about to release it; who finds it taken tries at the next poll.
    if let Some(mut kept) = slot.waker.try_lock() {
        let before = kept.replace(waker.clone());
        drop(kept);
        drop(before);
        slot.set_kept_waker(identity);
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
}

/// One poll under the capturing waker; what it saw goes into the slot's mailbox.
#[cold]
fn captured<R>(
    slot: &'static Slot,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    slot.want_capture(false);
    let deliver = |waiting: Waiting| {
        let budget_exhausted = !tokio::task::coop::has_budget_remaining();
        let mail = Box::new(Mail {
            waiting,
            sequence: slot.poll_mark().sequence,
            at_ns: now_ns(),
            budget_exhausted,
        });
        match slot.mailbox.try_lock() {
            Some(mut mailbox) => drop(mailbox.replace(mail)),
            // The watchdog looks into it just now, and will find it empty: once more.
            None => slot.want_capture(true),
        }
    };
    let poll = |cx: &mut Context<'_>| {
        // The frames of the capture are not the request's.
        let here = 0_u8;
        slot.set_frame((&raw const here).addr());
        poll(cx)
    };
    capture_poll(cx, deliver, poll)
}

#[inline]
fn close(slot: &'static Slot, how: How) {
    slot.finish(how);
    slot.end_record();
    if is_counting() {
        memory::close(slot);
    }
    if metrics::any() {
        metrics::ended(slot);
    }
    if slot.hand.is_kept() {
        slot.set_ended_ns(now_ns());
    }
    if slot.is_remarkable() {
        remark(slot, how);
    }
    match slot.hand.close() {
        After::Recycle => slot.recycle(),
        After::Story => slot.recycle_seen(),
        After::Nothing => {}
    }
}

/// It was chosen for one thing or another, or has failed.
#[cold]
fn remark(slot: &Slot, how: How) {
    if slot.is_sampled() {
        baseline::offer(slot, how);
    }
    keep::offer(slot, how);
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            close(slot, how_dropped(slot));
        }
    }
}

/// Why a ticket is dropped that nobody has ended.
#[cold]
fn how_dropped(slot: &Slot) -> How {
    if std::thread::panicking() || slot.has_panicked() {
        slot.set_panicked();
        return How::Panicked;
    }
    if slot.all_sent() {
        return How::Completed;
    }
    let connection = Word::from_word(slot.connection());
    if connection.is_some_and(Word::is_gone) {
        How::ClientGone
    } else {
        How::Dropped
    }
}
