//! Runaway requests as OpenTelemetry spans, at the moment they are caught.
//!
//! A span that never ends is never exported by any SDK. So a runaway gets a finished span of its
//! own when it is caught, `redhanded.caught`: a child of the request's span, from the request's
//! start until now, with the verdict as attributes and the stacks as `code.stacktrace`. Its
//! outbound calls are CLIENT spans below it, the open ones too. When the request ends after all,
//! its own SERVER span follows, once.
//!
//! [`Otlp`] is a [`Sink`](redhanded_core::sink::Sink): it queues within bounds, and one thread
//! with a runtime of its own sends protobuf over HTTP. An absent collector costs a counted loss
//! and nothing else. No global tracer provider, propagator or subscriber is set or read, and what
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
//! *Who does what?* A report becomes `opentelemetry_sdk`'s `SpanData`; `opentelemetry-otlp` makes
//! the protobuf request of a batch of them, compressed where `OTEL_EXPORTER_OTLP_COMPRESSION` is
//! `gzip`. Everything between that request and the collector is ours.
//!
//! *Why an HTTP client of its own?* A collector may take a batch and reject spans of it;
//! `opentelemetry-otlp` only logs how many, and the client that it is given sees the answer and
//! counts them. It also says which headers go out: the exporter would lay those of the process
//! environment over ours, which come from the caller's closure, and decode ours a second time.
//! And an axum application has hyper already, where reqwest would be a second HTTP stack.
//!
//! *Why retries of its own?* Those of `opentelemetry-otlp` put the thread to sleep and cannot be
//! ended when the application shuts down. Ours are in the client, below the encoding: a batch is
//! encoded once for all its attempts, and dropping the export ends them at any point.
//!
//! *Why a connection per batch?* Runaways are rare. A connection kept for the next one is dead by
//! then more often than not, and finding that out costs the first attempt.
//!
//! *What still comes from the process environment?* The compression, where the closure leaves it
//! open: `opentelemetry-otlp` can be told to compress, and not to leave it.
//!
//! *Which id has the span of an outbound call?* The one that the other end was told, so that its
//! spans hang below. No id is exported twice: a call that was open when it was first told, or
//! of which nobody remembers whether it was, is told under a new one with a link to its own.
//!
//! *What is not there:* gRPC, JSON, client certificates, and proxies (`HTTPS_PROXY`); a collector
//! beside the application has them all.
//!
//! *Delivery is at least once.* A connection that breaks after the request was sent and before the
//! answer came is retried, as the OTLP specification asks; a span may then arrive twice.

mod attributes;
mod call_attributes;
mod calls;
mod client;
mod config;
mod endpoint;
mod error;
mod exporter;
mod headers;
mod ids;
mod kept;
mod mapping;
mod names;
mod otlp;
mod queue;
mod resource;
mod seen;
mod server_span;
mod size;
mod snapshots;
mod stacktrace;
mod text;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;
mod told;
mod transport;
mod when;

pub use error::Error;
pub use otlp::{Configured, Export, Otlp};
