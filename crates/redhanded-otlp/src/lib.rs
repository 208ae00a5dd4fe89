//! Runaway requests as OpenTelemetry spans, at the moment they are caught.
//!
//! A span that never ends is never exported by any SDK. So a runaway gets a finished span of its
//! own when it is caught, `redhanded.caught`: a child of the request's span, from the request's
//! start until now, with the verdict as attributes and the stacks as `code.stacktrace`. Its
//! outbound calls are CLIENT spans below it, the open ones too. When the request ends after all,
//! its own SERVER span follows, once.
//!
//! [`Otlp`] is a [`Sink`](redhanded_core::sink::Sink): it queues within bounds, and one thread
//! with a runtime of its own sends protobuf over HTTP or gRPC. While the collector is away reports wait in bounded
//! memory, or on disk where a [`Spool`] is given; what has to make room is counted, and nothing else comes of it. No
//! global tracer provider, propagator or subscriber is set or read, and what
//! the exporter itself does is seen by neither OpenTelemetry nor `tracing`.
//!
//! ```
//! use redhanded_otlp::{Export, Otlp};
//! use redhanded_report::Service;
//!
//! let service = Service::default();
//! let configured = Otlp::from_env(&service, |name| std::env::var(name).ok());
//! for warning in &configured.warnings {
//!     eprintln!("redhanded: {warning}");
//! }
//! match configured.export {
//!     Export::On(otlp) => { /* hand it to the engine as a sink */ drop(otlp) }
//!     Export::Off { why } => eprintln!("redhanded: no export: {why}"),
//! }
//! ```
//!
//! # Design
//!
//! *Who does what?* A report becomes `opentelemetry_sdk`'s `SpanData` (`mapping`); `opentelemetry-proto` makes the
//! protobuf request of a batch of them (`exporter`), as it does for `opentelemetry-otlp`. Everything between that
//! request and the collector is ours: `queue` (reports that become a batch), `outbox` (requests in order, with
//! `spool` for those on disk), `pace` (when to try), `transport` (one attempt), `link` (a connection), `http1` and `grpc`
//! (what an answer means).
//!
//! *Why not `opentelemetry-otlp`?* It takes spans and gives back success or failure. We keep requests on disk, so they
//! must be had as bytes; we count what a collector rejects of a batch, which it only logs; an attempt must end when
//! the application does, and its retries put the thread to sleep; and it reads the process environment, where ours
//! comes from the caller's closure.
//!
//! *Why not tonic for gRPC?* OTLP is one unary call: five bytes before a message, a number in the trailers. hyper's
//! HTTP/2 client, which axum applications often have, does the rest. `cargo tree -e normal` counts 94 crates without
//! gRPC and 102 with it, where `opentelemetry-otlp` with tonic had 97 and 118.
//!
//! *What becomes of an attempt?* Taken (and perhaps some spans rejected); refused, which is final: HTTP's other statuses
//! and redirects, gRPC's other codes; or no answer, which is every failure to get one, 429, 502, 503, 504, and the
//! codes that OTLP lists, `RESOURCE_EXHAUSTED` only with a `RetryInfo`. What has no answer stays and is tried again, for
//! as long as it takes. `OTEL_EXPORTER_OTLP_TIMEOUT` is for one attempt.
//!
//! *And who learns of a refusal?* Whoever reads the next record: with what the collector has refused, and what it would
//! accept, as far as the answer tells (`refusal`). Once for as long as it refuses: each loss is counted anyway.
//!
//! *Why is the disk written only when the collector is away?* While it answers, a report is under way for
//! milliseconds, and the slow log has it anyway. After an attempt without an answer, or one that has taken a second, all
//! that waits goes to disk, and so does what comes later.
//!
//! *What waits?* Runaways. What else is exported whole (failed requests, the baseline) comes in numbers, and would drive
//! them out of memory and disk; while the collector is away it is dropped and counted.
//!
//! *Who writes to disk?* The exporter's thread. A disk that hangs holds up the export, and nobody else.
//!
//! *Why a file a request?* Done with, it is removed: there is nothing to compact, and a crash repeats one request at most.
//! The name is given when the file is whole and synced. Small requests go out together: protobuf messages put one behind
//! the other are one message. If that is refused, each is asked about by itself.
//!
//! *Why may several processes share a spool?* Because they will. Each locks a numbered directory below; the lock ends
//! with the process, however that ends, and who finds one unlocked takes over its files, by renaming them.
//!
//! *Why a connection per batch?* Runaways are rare. A connection kept for the next one is dead by
//! then more often than not, and finding that out costs the first attempt. While something waits, it is kept.
//!
//! *How much memory?* 6 MiB of spans that wait to become a request, 4 MiB of requests that cannot go to disk, and
//! about four times 1 MiB while one is made and sent.
//!
//! *Which id has the span of an outbound call?* The one that the other end was told, so that its
//! spans hang below. No id is exported twice: a call that was open when it was first told, or
//! of which nobody remembers whether it was, is told under a new one with a link to its own.
//!
//! *And metrics?* They need none of this but `config`, `transport` and what is below it: [`metrics`] says why.
//!
//! *What is not there:* JSON, and proxies (`HTTPS_PROXY`); a collector
//! beside the application has them all.
//!
//! *Delivery is at least once.* A connection that breaks after the request was sent and before the
//! answer came is retried, as the OTLP specification asks; a span may then arrive twice. So may one whose file could not
//! be removed before the process was killed.

mod answer;
mod attributes;
mod call_attributes;
mod calls;
mod config;
mod detect;
mod endpoint;
mod error;
mod exporter;
#[cfg_attr(not(feature = "grpc"), path = "grpc_absent.rs")]
mod grpc;
mod headers;
mod http1;
mod ids;
mod kept;
mod link;
mod mapping;
pub mod metrics;
mod names;
mod options;
mod otlp;
mod outbox;
mod pace;
mod queue;
mod refusal;
mod resource;
mod seen;
mod server_span;
mod signal;
mod size;
mod snapshots;
mod spool;
mod stacktrace;
mod text;
mod thread;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;
mod told;
mod transport;
mod unseen;
mod when;

pub use error::Error;
pub use options::Options;
pub use otlp::{Configured, Export, Otlp, Waiting};
pub use spool::Spool;
