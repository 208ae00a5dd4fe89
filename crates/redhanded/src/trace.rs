//! Spans and events of `tracing` in reports.

use crate::install::Redhanded;
pub use redhanded_trace::TraceLayer;

/// A layer for the application's `tracing` stack that notes the spans and events of every watched
/// request in memory; they stand in its report, if it is caught.
///
/// It may be made before any install, and notes for the requests of all of them.
///
/// ```
/// use tracing_subscriber::prelude::*;
/// use tracing_subscriber::{EnvFilter, fmt, registry};
///
/// let stack = registry()
///     .with(redhanded::trace_layer())
///     .with(fmt::layer().with_filter(EnvFilter::new("info"))); // reports have what is below it, too
/// # tracing::subscriber::with_default(stack, || {});
/// ```
pub fn trace_layer() -> TraceLayer {
    TraceLayer::new()
}

impl Redhanded {
    /// The same as [`trace_layer`](crate::trace_layer), where the handle is at hand. Of two in one
    /// stack one notes.
    pub fn trace_layer(&self) -> TraceLayer {
        TraceLayer::new()
    }
}
