//! Where a report goes after it is safe on disk.

use redhanded_report::Report;
use std::sync::Arc;
use std::time::Duration;

/// A receiver of reports besides the slow-request log, such as an exporter.
///
/// Called on the clerk's thread, in the order of the log. A sink must not block: it queues, and
/// what it cannot queue it drops and counts in [`Sink::lost`].
pub trait Sink: Send + Sync {
    /// Takes one report. For `ended`, `caught` is the fullest line this request was caught with.
    fn accept(&self, report: &Arc<Report>, caught: Option<&Arc<Report>>);

    /// Waits until everything accepted has gone out, at most for `deadline`; says whether it has.
    fn flush(&self, deadline: Duration) -> bool;

    /// How many things this sink had to drop so far.
    fn lost(&self) -> u64;
}
