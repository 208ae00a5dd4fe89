//! Where a report goes after it is safe on disk.

pub use crate::keep::{Kept, Why};
pub use crate::story::Level;
pub use crate::told::{Source, Told, ToldEvent, ToldSpan, ToldValue};

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

    /// Whether this sink wants requests whole: see [`keep`](Self::keep). Asked once, at the install.
    fn keeps(&self) -> bool {
        false
    }

    /// Takes a request with all that it has told of itself: when it is caught, and again when it ends after
    /// that; when it has failed; and if it is one of the baseline
    /// ([`Config::keep_one_in`](crate::Config::keep_one_in)).
    ///
    /// Called after [`accept`](Self::accept) of the same news, and like that: it must not block.
    fn keep(&self, kept: &Arc<Kept>) {
        let _ = kept;
    }

    /// Waits until everything accepted has gone out, at most for `deadline`; says whether it has.
    fn flush(&self, deadline: Duration) -> bool;

    /// How many things this sink had to drop so far.
    fn lost(&self) -> u64;

    /// Why, in one sentence with what is accepted instead, if that is news and somebody can do something about it. The
    /// next record says it among what is missing.
    fn why_lost(&self) -> Option<String> {
        None
    }
}
