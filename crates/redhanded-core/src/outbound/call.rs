//! A call that is being made, in the hands of who makes it.

use super::here;
use crate::calls::{Authority, CallPhase, CallState, Failure, Opener, connections, row_of};
use crate::family;
use crate::redact::printable;
use crate::registry::Slot;
use crate::worker::Worker;
use redhanded_capture::monotonic_ns as now_ns;
use std::borrow::Cow;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

/// Bytes of what is asked that are kept.
const WHAT_BYTES: usize = 512;
/// And of a kind.
const KIND_BYTES: usize = 64;

/// One call to another host, open until [`finish`](Self::finish), [`fail`](Self::fail) or drop.
///
/// It belongs to the request that the thread was polling when it was begun, and counts for its host
/// in any case. For adapters of clients; applications use [`Outbound`](super::Outbound).
#[derive(Debug)]
pub struct Call {
    state: Arc<CallState>,
    /// The slot that was polled when it was begun.
    opener: Option<&'static Slot>,
    /// The request that it is made for.
    request: Option<(&'static Slot, u32)>,
}

impl Call {
    /// The kind of a connection that is no part of another call.
    pub const CONNECTION: &str = crate::calls::CONNECTION;

    /// Begins a call of some `kind` (`http`, `postgres`, …) whose phases its maker will tell. `what` is
    /// what it asks, of which 512 bytes are kept, and which is redacted before it is reported.
    pub fn begin(
        kind: impl Into<Cow<'static, str>>,
        peer: Authority<'_>,
        what: Option<String>,
    ) -> Self {
        Self::new(kind.into(), peer, what, None, true)
    }

    /// The same for one that begins in `phase`.
    pub fn begin_in(
        phase: CallPhase,
        kind: impl Into<Cow<'static, str>>,
        peer: Authority<'_>,
        what: Option<String>,
    ) -> Self {
        Self::new(kind.into(), peer, what, Some(phase), true)
    }

    pub(super) fn new(
        kind: Cow<'static, str>,
        peer: Authority<'_>,
        what: Option<String>,
        phase: Option<CallPhase>,
        measured: bool,
    ) -> Self {
        let slot = Worker::known().and_then(Worker::current_slot);
        let opener = slot.map(|slot| Opener {
            slot: slot.key.word(),
            generation: slot.hand.generation(),
        });
        let kind = printable_kind(kind);
        let row = row_of(peer.host(), peer.port());
        let what = what.map(|mut what| {
            what.truncate(what.floor_char_boundary(WHAT_BYTES));
            what.into_boxed_str()
        });
        let state = CallState::new(kind, row, opener, what, (phase, measured), now_ns());
        let state = Arc::new(state);
        state.row.begin(&state);
        let request = slot.map(|slot| {
            let request = family::request_of(slot);
            (request, request.hand.generation())
        });
        if let Some((request, generation)) = request {
            request.extra(generation, |extra| extra.calls.begin(&state));
        }
        Self {
            state,
            opener: slot,
            request,
        }
    }

    /// It is in `phase` from now on.
    pub fn enter(&self, phase: CallPhase) {
        self.state.enter(phase, now_ns());
    }

    /// The phase that it is in, where its maker has told any.
    pub fn phase(&self) -> Option<CallPhase> {
        self.state.phase()
    }

    /// So many more bytes of the request's body went out.
    pub fn sent(&self, bytes: u64) {
        self.state.sent(bytes, now_ns());
    }

    /// So many more bytes of the answer's body came in.
    pub fn received(&self, bytes: u64) {
        self.state.received(bytes, now_ns());
    }

    /// The answer has this HTTP status.
    pub fn answered(&self, status: u16) {
        self.state.set_status(status);
    }

    /// The address that it is made to.
    pub fn address(&self, address: SocketAddr) {
        self.state.set_address(address);
    }

    /// Its connection may carry other calls at the same time (HTTP/2), and may be made by somebody else.
    pub fn shares_its_connection(&self) {
        self.state.set_shares();
    }

    /// The `traceparent` header (W3C) that tells the other end whose call this is; fixed at the first
    /// call. `None` where the request came without one: no trace is begun here.
    pub fn traceparent(&self) -> Option<String> {
        let (request, generation) = self.request?;
        family::with_trace(request, generation, |trace| {
            // Else nobody outside began a trace that this could be part of.
            trace.parent_span_id.as_ref()?;
            let span_id = self.state.span_id().unwrap_or_else(|| {
                let span_id = crate::copied::new_span_id();
                self.state.set_span_id(&span_id);
                span_id
            });
            Some(format!(
                "00-{}-{span_id}-{:02x}",
                trace.trace_id, trace.flags
            ))
        })?
    }

    /// It is being polled now: the watchdog then sees that its request waits for it. Part of
    /// [`within`](Self::within).
    pub fn polled(&self) {
        if let Some(opener) = self.opener {
            let polling = Worker::known().and_then(Worker::current);
            if polling == Some(opener.key) {
                self.state.set_polled(opener.poll_mark().sequence);
            } else {
                self.state.set_elsewhere();
            }
        }
    }

    /// Runs `work`, such as a poll, as part of this call: connectors find it by
    /// [`CallHandle::here`], and the watchdog sees that it is being driven.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        self.polled();
        here::within(&self.state, work)
    }

    /// What it has waited for is its own until it ends: a connection of a pool.
    pub(super) fn hold(&self) {
        self.state.hold(now_ns());
    }

    /// The call, for what it makes use of.
    pub fn handle(&self) -> CallHandle {
        CallHandle(self.state.clone())
    }

    /// It brings a body, which is sent when there is a connection.
    pub fn owes_body(&self) {
        self.state.set_owes_body(true);
    }

    /// It waits, and needed no connector: a pool has given it a connection, if this process has ever
    /// made one to its host.
    pub fn found_a_connection(&self) {
        let waits_for_one = self.state.phase() == Some(CallPhase::Pool);
        if waits_for_one && self.state.row.has_connected() {
            self.enter(self.state.after_connected());
        }
    }

    /// It is over, in good order.
    pub fn finish(self) {
        self.end(None);
    }

    /// It has failed.
    pub fn fail(self, failure: Failure) {
        self.end(Some(failure));
    }

    /// It has failed, and this is why.
    pub fn fail_with(self, error: &(dyn Error + 'static)) {
        let failure = Failure::of(error, self.state.phase());
        self.end(Some(failure));
    }

    fn end(&self, failure: Option<Failure>) {
        let now_ns = now_ns();
        if !self.state.end(failure, now_ns) {
            return;
        }
        self.state.row.end(&self.state, failure, now_ns);
        if let Some((request, generation)) = self.request {
            request.extra(generation, |extra| extra.calls.end(&self.state));
        }
    }
}

impl Drop for Call {
    /// Given up by its own side, if nothing else was said.
    fn drop(&mut self) {
        self.end(Some(Failure::Dropped));
    }
}

/// A kind is the application's own word; one from elsewhere must not write on a terminal.
fn printable_kind(kind: Cow<'static, str>) -> Cow<'static, str> {
    let is_fine = kind.len() <= KIND_BYTES && !kind.contains(char::is_control);
    if is_fine {
        return kind;
    }
    let cut = &kind[..kind.floor_char_boundary(KIND_BYTES)];
    printable::from_bytes(cut.as_bytes()).into()
}

/// A call in the hands of what it makes use of: a resolver, a connector, a body. It does not keep the
/// call open, and what is said of a call that is over changes nothing.
#[derive(Clone, Debug)]
pub struct CallHandle(Arc<CallState>);

impl CallHandle {
    /// The call that this thread works on, see [`Call::within`]; `None` outside of one, as in a task
    /// that finishes a connection for whoever needs it next.
    pub fn here() -> Option<Self> {
        here::current().map(Self)
    }

    /// This thread works on this call, now.
    pub fn is_here(&self) -> bool {
        here::current().is_some_and(|call| Arc::ptr_eq(&call, &self.0))
    }

    /// It is in `phase` from now on.
    pub fn enter(&self, phase: CallPhase) {
        if !self.0.has_ended() {
            self.0.enter(phase, now_ns());
        }
    }

    /// The phase that it is in, where its maker has told any.
    pub fn phase(&self) -> Option<CallPhase> {
        self.0.phase()
    }

    /// It waits for a connection to `address`.
    pub fn trying(&self, address: SocketAddr) {
        self.enter(CallPhase::Connect);
        self.0.trying(address, now_ns());
    }

    /// The connection to `address` is there, or has failed.
    pub fn tried(&self, address: SocketAddr, failure: Option<Failure>) {
        self.0.tried(address, failure, now_ns());
    }

    /// It has its connection, to `address` where that is known.
    pub fn connected(&self, address: Option<SocketAddr>) {
        self.has_made_a_connection(address);
        self.enter(self.0.after_connected());
    }

    /// The address that it is made to is known.
    pub fn has_address(&self) -> bool {
        self.0.address().is_some()
    }

    /// The connection is there that it was all about.
    pub fn has_made_a_connection(&self, address: Option<SocketAddr>) {
        self.0.row.connected();
        if let Some(address) = address {
            self.0.set_address(address);
        }
    }

    /// The request's body is asked for, and goes out; an answer may have begun before that.
    pub fn writing(&self) {
        if self.phase() != Some(CallPhase::ReadBody) {
            self.enter(CallPhase::Write);
        }
    }

    /// The request's body has been asked for to its end.
    pub fn written(&self) {
        self.0.set_owes_body(false);
        if self.phase() == Some(CallPhase::Write) {
            self.enter(CallPhase::WaitHeaders);
        }
    }

    /// So many bytes of the request's body were asked for, and go out.
    pub fn sent(&self, bytes: u64) {
        self.0.sent(bytes, now_ns());
    }

    /// The connection to `address` that it has made will be used by calls that nobody tells of.
    pub fn leaves_a_connection(&self, address: SocketAddr) {
        connections::note(address, &self.0.row);
    }
}
