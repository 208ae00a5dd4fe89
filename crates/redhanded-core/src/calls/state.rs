//! One outbound call: written by who makes it, read by the watchdog.

use super::phase::PHASES;
use super::{CallPhase, Failure, Row};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};

/// Addresses that are noted of one call.
const TRIED: usize = 16;
/// Ends: zero is open, this is a good one, and failures follow.
const DONE: u8 = 1;
const FAILED: u8 = 2;

/// Which slot made a call, as its key's word, and the generation that it made it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opener {
    pub(crate) slot: u64,
    pub(crate) generation: u32,
}

/// A call that is open, or one that has finished. Times are nanoseconds of the monotonic clock.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) kind: Cow<'static, str>,
    pub(crate) row: Arc<Row>,
    pub(crate) opener: Option<Opener>,
    /// What is asked, cut; raw.
    pub(crate) what: Option<Box<str>>,
    pub(crate) started_ns: u64,
    /// Phases are told by who makes it; without that they are concluded.
    pub(crate) measured: bool,
    phase: AtomicU8,
    phase_since_ns: AtomicU64,
    spent_ns: [AtomicU64; PHASES],
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    moved_ns: AtomicU64,
    /// Sequence of its opener's poll in which it was polled last.
    polled: AtomicU64,
    status: AtomicU16,
    end: AtomicU8,
    ended_ns: AtomicU64,
    shares: AtomicBool,
    held: AtomicBool,
    elsewhere: AtomicBool,
    owes_body: AtomicBool,
    more: Mutex<More>,
}

/// What changes seldom.
#[derive(Debug, Default)]
struct More {
    address: Option<SocketAddr>,
    tried: Vec<Attempt>,
    span_id: Option<Box<str>>,
}

/// One address that a connection was tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) address: SocketAddr,
    pub(crate) since_ns: u64,
    /// When it was over, and how it failed.
    pub(crate) end: Option<(u64, Option<Failure>)>,
}

impl CallState {
    #[inline]
    pub(crate) fn new(
        kind: Cow<'static, str>,
        row: Arc<Row>,
        opener: Option<Opener>,
        what: Option<Box<str>>,
        (phase, measured): (Option<CallPhase>, bool),
        now_ns: u64,
    ) -> Self {
        Self {
            kind,
            row,
            opener,
            what,
            started_ns: now_ns,
            measured,
            phase: AtomicU8::new(phase.map_or(0, CallPhase::number)),
            phase_since_ns: AtomicU64::new(now_ns),
            spent_ns: [const { AtomicU64::new(0) }; PHASES],
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            moved_ns: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            status: AtomicU16::new(0),
            end: AtomicU8::new(0),
            ended_ns: AtomicU64::new(0),
            shares: AtomicBool::new(false),
            held: AtomicBool::new(false),
            elsewhere: AtomicBool::new(false),
            owes_body: AtomicBool::new(false),
            more: Mutex::new(More::default()),
        }
    }

    pub(crate) fn phase(&self) -> Option<CallPhase> {
        CallPhase::from_number(self.phase.load(Ordering::Acquire))
    }
    pub(crate) fn phase_since_ns(&self) -> u64 {
        self.phase_since_ns.load(Ordering::Relaxed)
    }
    pub(crate) fn spent_ns(&self, phase: CallPhase) -> u64 {
        self.spent_ns[phase as usize].load(Ordering::Relaxed)
    }

    /// Goes over to `phase`; the one before is over, and its time is booked.
    pub(crate) fn enter(&self, phase: CallPhase, now_ns: u64) {
        let before = self.phase.swap(phase.number(), Ordering::AcqRel);
        if before == phase.number() {
            return;
        }
        let since_ns = self.phase_since_ns.swap(now_ns, Ordering::Relaxed);
        self.book(before, now_ns.saturating_sub(since_ns));
    }

    /// Has what it waited for, and is in no phase until it ends.
    pub(crate) fn hold(&self, now_ns: u64) {
        self.held.store(true, Ordering::Relaxed);
        let before = self.phase.swap(0, Ordering::AcqRel);
        let since_ns = self.phase_since_ns.swap(now_ns, Ordering::Relaxed);
        self.book(before, now_ns.saturating_sub(since_ns));
    }
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    fn book(&self, phase: u8, spent_ns: u64) {
        let Some(phase) = CallPhase::from_number(phase) else {
            return;
        };
        self.spent_ns[phase as usize].fetch_add(spent_ns, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64, now_ns: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.moved_ns.store(now_ns, Ordering::Relaxed);
    }
    pub(crate) fn received(&self, bytes: u64, now_ns: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.moved_ns.store(now_ns, Ordering::Relaxed);
    }
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }
    /// Since when nothing has moved: its last byte, or the beginning of its phase.
    pub(crate) fn rests_since_ns(&self) -> u64 {
        self.moved_ns
            .load(Ordering::Relaxed)
            .max(self.phase_since_ns())
    }

    pub(crate) fn set_polled(&self, sequence: u64) {
        self.polled.store(sequence, Ordering::Relaxed);
    }
    /// It was polled by somebody else than its opener.
    pub(crate) fn set_elsewhere(&self) {
        self.elsewhere.store(true, Ordering::Relaxed);
    }
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Relaxed)
    }
    pub(crate) fn polled(&self) -> u64 {
        self.polled.load(Ordering::Relaxed)
    }

    /// There is a body that has not been sent to its end.
    pub(crate) fn set_owes_body(&self, owes: bool) {
        self.owes_body.store(owes, Ordering::Relaxed);
    }
    /// What comes when it has its connection.
    pub(crate) fn after_connected(&self) -> CallPhase {
        if self.owes_body.load(Ordering::Relaxed) {
            CallPhase::Write
        } else {
            CallPhase::WaitHeaders
        }
    }

    /// Its connection may carry other calls at the same time, and may be made by somebody else.
    pub(crate) fn set_shares(&self) {
        self.shares.store(true, Ordering::Relaxed);
    }
    pub(crate) fn shares(&self) -> bool {
        self.shares.load(Ordering::Relaxed)
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
    pub(crate) fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// Ends it; `false` if it had ended before.
    pub(crate) fn end(&self, failure: Option<Failure>, now_ns: u64) -> bool {
        let end = failure.map_or(DONE, |failure| FAILED + failure.number());
        let first = self
            .end
            .compare_exchange(0, end, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if first {
            self.ended_ns.store(now_ns, Ordering::Relaxed);
            let since_ns = self.phase_since_ns();
            let phase = self.phase.load(Ordering::Acquire);
            self.book(phase, now_ns.saturating_sub(since_ns));
        }
        first
    }
    pub(crate) fn has_ended(&self) -> bool {
        self.end.load(Ordering::Acquire) != 0
    }
    pub(crate) fn failure(&self) -> Option<Failure> {
        let end = self.end.load(Ordering::Acquire);
        Failure::from_number(end.checked_sub(FAILED)?)
    }
    pub(crate) fn ended_ns(&self) -> Option<u64> {
        self.has_ended()
            .then(|| self.ended_ns.load(Ordering::Relaxed))
    }

    pub(crate) fn set_address(&self, address: SocketAddr) {
        self.more.lock().address = Some(address);
    }
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.more.lock().address
    }

    /// An address is tried from now on.
    pub(crate) fn trying(&self, address: SocketAddr, now_ns: u64) {
        let mut more = self.more.lock();
        more.address = Some(address);
        if more.tried.len() < TRIED {
            more.tried.push(Attempt {
                address,
                since_ns: now_ns,
                end: None,
            });
        }
    }

    /// An address that was tried has failed, or has not.
    pub(crate) fn tried(&self, address: SocketAddr, failure: Option<Failure>, now_ns: u64) {
        let mut more = self.more.lock();
        let open = |attempt: &&mut Attempt| attempt.address == address && attempt.end.is_none();
        if let Some(attempt) = more.tried.iter_mut().find(open) {
            attempt.end = Some((now_ns, failure));
        }
        if failure.is_none() {
            more.address = Some(address);
        }
    }
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.more.lock().tried.clone()
    }

    pub(crate) fn set_span_id(&self, span_id: &str) {
        self.more.lock().span_id = Some(span_id.into());
    }
    pub(crate) fn span_id(&self) -> Option<String> {
        self.more.lock().span_id.as_deref().map(str::to_owned)
    }
}
