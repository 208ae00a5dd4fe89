//! Catches runaway requests in the act: which request, which line, which host, **while it happens**.
//!
//! About once a day one web server out of seven gets a hit that loops for ever or waits for a host
//! that does not answer. redhanded watches every request from a thread of its own, outside of the
//! runtime; what runs longer than [`slow_after`](Builder::slow_after) is looked at and judged while
//! it hangs, and one line of JSON with its URL, parameters, stack and verdict is on disk before
//! anybody restarts the process.
//!
//! ```no_run
//! use redhanded::Redhanded;
//! use std::time::Duration;
//!
//! # async fn notice() {}
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let redhanded = Redhanded::builder("identica")      // service name
//!         .slow_after(Duration::from_secs(2))             // report whatever runs longer
//!         .install()?;                                    // watchdog and clerk, slow log, OTLP if an endpoint is set
//!
//!     let app = axum::Router::new()
//!         .route("/notice/{id}", axum::routing::get(notice))
//!         .layer(redhanded.layer());                      // every request is watched
//!
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     axum::serve(redhanded.listener(listener), app).await?; // optional: clients, slow heads
//!     Ok(())
//! }
//! ```
//!
//! # Environment
//!
//! Read at [`install`](Builder::install), and stronger than the code, so that operations can turn
//! it without a build.
//!
//! | variable | value | a bad one |
//! |---|---|---|
//! | `REDHANDED_SLOW_AFTER` | `2s`, `500ms`, `1m30s` | stops `install()` |
//! | `REDHANDED_SLOW_LOG` | a path, or `stderr` | stops `install()` |
//! | `REDHANDED_KEEP_ONE_IN` | `1000`, or `0` for none | stops `install()` |
//! | `REDHANDED_FLIGHT_RECORDER` | a path, or `off` | stops `install()` |
//! | `REDHANDED_LOG` | `off`, `warn`, `info` | stops `install()` |
//! | `REDHANDED_HEALTH_LISTEN`, `REDHANDED_AGENT_CHECK_LISTEN` | `127.0.0.1:9901`, or `off` | stops `install()` |
//! | `REDHANDED_SPOOL` | a directory where reports wait for the collector, or `off` | stops `install()` |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | as OpenTelemetry defines them | warned about, ignored |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `_PROTOCOL` (`http/protobuf`, `grpc`), `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_INSECURE`, `_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY` and their `_TRACES_` forms | as OpenTelemetry defines them | warned about, ignored |
//! | `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` and the `_METRICS_` forms of those above | as OpenTelemetry defines them | warned about, ignored |
//! | `OTEL_TRACES_EXPORTER=none`, `OTEL_METRICS_EXPORTER=none`, `OTEL_SDK_DISABLED=true` | no spans, no metrics, nothing is exported | |

pub mod alloc;
mod builder;
mod callback;
mod export;
mod free;
mod health;
mod install;
mod listener;
pub mod metrics;
mod outbound;
#[cfg(feature = "prometheus")]
mod prometheus;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "trace")]
mod trace;

pub use builder::{Builder, Rule, long_lived, slow_after};
pub use free::{
    Child, Current, InCurrentRequest, Job, Watched, current, job, spawn, spawn_blocking,
};
pub use health::{Health, Holder};
pub use install::Redhanded;
pub use outbound::{
    Acquiring, CallPhase, Calling, Failure, Held, Outbound, PeerStats, Peers, PhaseStats, outbound,
};
#[cfg(feature = "connect")]
pub use redhanded_connect as connect;
pub use redhanded_core::{Asked, Ends, Error, FlightRecorder, Stats, StoryStats, sink};
pub use redhanded_report as report;
pub use redhanded_tower::{
    ClientAddress, Listener, Listening, LongLived, LongLivedLayer, ResponseFuture, SlowAfter,
    SlowAfterLayer, Watch, WatchLayer, WatchedBody, WatchedIo,
};
#[cfg(feature = "trace")]
pub use trace::{TraceLayer, trace_layer};
