//! The request that this thread works for, for the application to say more about it.

use crate::engine::nanos;
use crate::family;
use crate::registry::Slot;
use crate::worker::Worker;
use redhanded_capture::monotonic_ns;
use std::fmt::Display;
use std::time::Duration;

/// A request in flight, as the application sees it. Small, `Copy`, and harmless when it is over: it
/// then does nothing.
///
/// It does not keep the request alive, may be sent to other threads and tasks, and is empty outside
/// of a watched request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current(Option<(&'static Slot, u32)>);

impl Current {
    /// The request that this thread is polling now, or that its child task works for.
    ///
    /// Empty outside of a watched request: everything is then accepted and nothing done.
    pub fn here() -> Self {
        let slot = Worker::known().and_then(|worker| worker.current_slot());
        Self(slot.map(|slot| {
            let request = family::request_of(slot);
            (request, request.hand.generation())
        }))
    }

    /// Whether there is a request, and it is still in flight.
    pub fn is_watched(&self) -> bool {
        self.live().is_some()
    }

    fn live(&self) -> Option<(&'static Slot, u32)> {
        self.0.filter(|(slot, generation)| {
            slot.hand.generation() == *generation && slot.hand.looks_live()
        })
    }

    /// Says something about this request that its reports are to show as a label.
    ///
    /// The last word for a key wins. Kept are 16 labels, 64 bytes of a key and 256 of a value; what
    /// is cut or left out is told in the report. Secret keys are redacted there.
    pub fn set(&self, key: impl AsRef<str>, value: impl Display) -> &Self {
        if let Some((slot, generation)) = self.live() {
            let value = value.to_string();
            slot.extra(generation, |extra| extra.set_label(key.as_ref(), value));
        }
        self
    }

    /// Says that this request moves: it is overdue only when it has not said so for as long as its
    /// threshold.
    ///
    /// For what is allowed to take long as long as it gets on: an import, a batch. One that says so
    /// in a loop that gets nowhere is not found.
    pub fn progress(&self) -> &Self {
        if let Some((slot, _)) = self.live() {
            slot.tell_progress(monotonic_ns());
        }
        self
    }

    /// The id by which this request is reported, should it be: 26 characters, sortable (a ULID).
    /// `None` outside of a request, and when it is over.
    ///
    /// Fixed when it is first asked for: an application can print it beside its own lines.
    pub fn id(&self) -> Option<String> {
        let (slot, generation) = self.live()?;
        family::id_in(slot, generation)
    }

    /// Its place in its trace, as a W3C `traceparent` header whose parent is this request's own span: for spans that
    /// others export, so that they hang below it. `None` outside of a request, and when it is over.
    ///
    /// Sampled is what came in sampled, and what is one of the baseline. Fixed when it is first asked for.
    pub fn traceparent(&self) -> Option<String> {
        let (slot, generation) = self.live()?;
        family::with_trace(slot, generation, |trace| {
            format!(
                "00-{}-{}-{:02x}",
                trace.trace_id, trace.span_id, trace.flags
            )
        })
    }

    /// Gives this request another threshold, counted from its beginning; zero is taken as one
    /// millisecond. A shorter one is seen at the next round, a longer one when the former is over.
    pub fn set_slow_after(&self, slow_after: Duration) -> &Self {
        if let Some((slot, _)) = self.live() {
            let slow_after_ns = nanos(slow_after.max(Duration::from_millis(1)));
            slot.set_slow_after_ns(slow_after_ns);
            slot.rearm(slot.started_ns().saturating_add(slow_after_ns));
        }
        self
    }

    /// This request may rest for hours: from now on it is overdue only when one of its polls does
    /// not return.
    pub fn set_long_lived(&self) -> &Self {
        if let Some((slot, _)) = self.live() {
            slot.set_stage(crate::registry::Stage::LongLived);
        }
        self
    }
}
