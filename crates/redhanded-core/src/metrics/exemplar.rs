//! One measurement among those of a bucket whose trace is kept.

use crate::family;
use crate::registry::Slot;
use std::time::SystemTime;

/// A request whose trace is kept (it was caught, it failed, or it is one of the baseline), as an example of those that
/// were measured alike.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits: the request's own span.
    pub span_id: String,
    /// What was measured, in the unit of the metric.
    pub value: f64,
    /// When.
    pub at: SystemTime,
}

impl Exemplar {
    /// Of the request that has `slot`; `None` if it is over.
    pub(super) fn of(slot: &Slot, value: f64, at: SystemTime) -> Option<Self> {
        let ids = |trace: &crate::copied::TraceIds| (trace.trace_id.clone(), trace.span_id.clone());
        let (trace_id, span_id) = family::with_trace(slot, slot.hand.generation(), ids)?;
        Some(Self {
            trace_id,
            span_id,
            value,
            at,
        })
    }

    /// Of a trace whose ids are known.
    pub(super) fn of_trace(trace_id: &str, span_id: &str, value: f64, at: SystemTime) -> Self {
        Self {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            value,
            at,
        }
    }
}
