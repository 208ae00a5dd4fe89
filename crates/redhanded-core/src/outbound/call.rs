//! A call that is being made, in the hands of who makes it.

use super::{Authority, here};
use crate::calls::{CallPhase, CallState, Failure, Opener, row_of};
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
    /// The request that it is made for.
    request: Option<(&'static Slot, u32)>,
}

impl Call {
    /// Begins a call of some `kind` (`http`, `postgres`, …) whose phases its maker will tell. `what` is
    /// what it asks, of which 512 bytes are kept, and which is redacted before it is reported.
    pub fn begin(
        kind: impl Into<Cow<'static, str>>,
        peer: Authority<'_>,
        what: Option<&str>,
    ) -> Self {
        Self::new(kind.into(), peer, what, true)
    }

    pub(super) fn new(
        kind: Cow<'static, str>,
        peer: Authority<'_>,
        what: Option<&str>,
        measured: bool,
    ) -> Self {
        let slot = Worker::known().and_then(Worker::current_slot);
        let opener = slot.map(|slot| Opener {
            slot: slot.key.word(),
            generation: slot.hand.generation(),
        });
        let kind = printable_kind(kind);
        let row = row_of(peer.as_str(), peer.host(), peer.port());
        let what = what.map(|what| what[..what.floor_char_boundary(WHAT_BYTES)].into());
        let state = CallState::new(kind, row, opener, what, measured, now_ns());
        let state = Arc::new(state);
        state.row.begin(&state);
        let request = slot.map(|slot| {
            let request = family::request_of(slot);
            (request, request.hand.generation())
        });
        if let Some((request, generation)) = request {
            request.extra(generation, |extra| extra.calls.begin(&state));
        }
        Self { state, request }
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
        let trace = family::trace_in(request, generation)?;
        // Nobody outside began a trace that this could be part of.
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
    }

    /// Runs `work`, such as a poll, as part of this call: connectors find it by
    /// [`Connecting::here`], and the watchdog sees that it is being driven.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        if let (Some(opener), Some(slot)) = (self.state.opener, polling())
            && slot.key.word() == opener.slot
        {
            self.state.set_polled(slot.poll_mark().sequence);
        }
        here::within(&self.state, work)
    }

    /// What it has waited for is its own until it ends: a connection of a pool.
    pub(super) fn hold(&self) {
        self.state.hold(now_ns());
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
        if !self.state.end(failure, now_ns()) {
            return;
        }
        self.state.row.end(&self.state, failure);
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

/// The slot that this thread polls now.
fn polling() -> Option<&'static Slot> {
    Worker::known().and_then(Worker::current_slot)
}

/// The connection of a call, in the hands of who makes it. A connection may outlive the call that it
/// was begun for (pools finish it for the next one): what is said of it then changes nothing.
#[derive(Clone, Debug)]
pub struct Connecting(Arc<CallState>);

impl Connecting {
    /// The call that this thread works on, see [`Call::within`].
    pub fn here() -> Option<Self> {
        here::current().map(Self)
    }

    /// It waits for the addresses of its host's name.
    pub fn resolving(&self) {
        self.0.connecting(CallPhase::Dns, now_ns());
    }

    /// It waits for a connection, to an address that may not be known.
    pub fn connecting(&self) {
        self.0.connecting(CallPhase::Connect, now_ns());
    }

    /// It waits for a connection to `address`.
    pub fn trying(&self, address: SocketAddr) {
        let now_ns = now_ns();
        if self.0.connecting(CallPhase::Connect, now_ns) {
            self.0.trying(address, now_ns);
        }
    }

    /// The connection to `address` is there, or has failed.
    pub fn tried(&self, address: SocketAddr, failure: Option<Failure>) {
        self.0.tried(address, failure, now_ns());
    }

    /// It waits for the TLS handshake.
    pub fn securing(&self) {
        self.0.connecting(CallPhase::Tls, now_ns());
    }

    /// It has its connection, to `address` where that is known, and goes on with what it asks.
    pub fn connected(&self, address: Option<SocketAddr>) {
        if self.0.connecting(CallPhase::WaitHeaders, now_ns())
            && let Some(address) = address
        {
            self.0.set_address(address);
        }
    }

    /// The phase of its call.
    pub fn phase(&self) -> Option<CallPhase> {
        self.0.phase()
    }

    /// Runs `work` as part of the call.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        here::within(&self.0, work)
    }
}
