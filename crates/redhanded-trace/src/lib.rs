//! Spans and events of `tracing`, kept in memory for each request until somebody asks.
//!
//! A span that never ends is never exported, and exporting everything costs more than most
//! requests. [`TraceLayer`] notes what a request tells of itself in a ring of its own, 16 KiB that
//! the next request uses again: its spans with fields, times and places in the source, and its
//! events, those among them that nobody prints. If the request is caught, they are in its report
//! while it hangs; else they are forgotten.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//! use tracing_subscriber::{EnvFilter, fmt, registry};
//!
//! // On the console as before; in reports also what is below that level.
//! let stack = registry()
//!     .with(redhanded_trace::TraceLayer::new())
//!     .with(fmt::layer().with_filter(EnvFilter::new("info")));
//! # tracing::subscriber::with_default(stack, || {});
//! ```
//!
//! # Design
//!
//! *Whose is a span?* The request's that its thread polls when it begins; where there is none, that
//! of the span around it, so that a spawned task whose future was instrumented belongs to who spawned
//! it. An event likewise. Outside of requests nothing is noted.
//!
//! *Why no extensions of the registry?* One costs a lock and an allocation for each span. An open
//! span is found by its id in a table of ours.
//!
//! *What does it see?* What its stack lets through. A filter of the whole stack (an `EnvFilter` with
//! `registry().with(filter)`) takes from all layers alike; a filter of one layer (`with_filter`) from
//! that one alone. This layer may have a filter of its own, and should where a dependency tells much
//! at `TRACE`: what a layer without a filter lets through, `tracing` has to hand around.
//!
//! *And beside tokio-console?* In any order. A tokio that was built for it tells of each of its tasks, timers and channels,
//! which is for the console, and would drive a request's own words out of the ring:
//!
//! ```
//! use tracing_subscriber::filter::filter_fn;
//! use tracing_subscriber::prelude::*;
//! # use tracing_subscriber::registry;
//!
//! let ours = redhanded_trace::TraceLayer::new().with_filter(filter_fn(|of| {
//!     !of.target().starts_with("tokio") && !of.target().starts_with("runtime")
//! }));
//! let stack = registry().with(ours); // and .with(console_subscriber::spawn()), before it or after
//! # tracing::subscriber::with_default(stack, || {});
//! ```
//!
//! *What is lost?* The oldest of a request that tells more than 11 KiB; of a span that is open its
//! fields are kept. More than 64 open spans of one request have no times, and requests beyond 4,096
//! that tell anything at the same time have no ring. All of that is counted.

mod layer;
mod visit;

pub use layer::TraceLayer;
