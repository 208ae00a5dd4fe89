//! The vocabulary of redhanded: one self-contained [`Report`] per runaway request.
//!
//! These types are the contract between the engine and every reader: the slow-request log, OTLP,
//! and whoever greps the file at 3 a.m. Field names follow OpenTelemetry semantic conventions
//! (v1.44) where those have one; units are in names; absent means unknown, never zero.
//!
//! The crate has no I/O and knows nothing of how a report came to be.
//!
//! ```
//! use redhanded_report::{Class, Event, Report};
//! let line = r#"{"schema":"redhanded/1","event":"caught","id":"01K0000000000000000000000A",
//!   "time":"2026-07-01T02:03:04.000005Z","verdict":{"class":"cpu_loop","role":"culprit",
//!   "confidence":"proved","cause":"worker thread 3 has been on CPU for 2.01 s in one poll"}}"#;
//! let report: Report = serde_json::from_str(line).unwrap();
//! assert_eq!(report.event, Event::Caught);
//! assert_eq!(report.verdict.unwrap().class, Class::CpuLoop);
//! ```

mod common;
mod evidence;
mod feature;
mod page;
pub mod recorder;
mod report;
mod request;
mod stack;
mod verdict;
mod words;

pub use common::{SIGNIFICANCE, Tally, over_represented};
pub use evidence::{
    Baseline, Evidence, LogEvent, Machine, OutboundCall, OutboundTotal, SpanSnapshot, Thread,
    Tried, Usual,
};
pub use feature::{Feature, FeatureKind, features};
pub use page::{Style, duration, headline, page, shown};
pub use report::{Action, Died, Event, How, Lost, Outcome, Phase, Report, SCHEMA, Service};
pub use request::{Params, Request};
pub use stack::{Frame, Stack, StackKind};
pub use verdict::{
    Class, Confidence, Culprit, OverRepresented, Peer, Role, Verdict, WaitKind, WaitingFor,
};

#[cfg(feature = "schema")]
pub use schema::json_schema;

#[cfg(feature = "schema")]
mod schema;
