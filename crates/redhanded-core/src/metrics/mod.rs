//! What is counted of an install, for whoever exports it; nothing here knows how that is done.
//!
//! Off until somebody asks (`Meter::start`); a request then pays for one look at a word. On, each request is counted
//! once, when its ticket closes: its method and route are read back from the facts that its slot has anyway, found in a
//! table of bounded size (`table.rs`), and added to relaxed atomics that threads share in few shards (`histogram.rs`).
//! Nothing is allocated but for a series that is new. What is known elsewhere (requests in flight, peers, runtimes,
//! health) is asked for when a [`Snapshot`] is taken, and costs nothing until then.

mod exemplar;
mod gather;
mod histogram;
mod method;
mod outbound;
mod requests;
mod runaways;
mod runtime;
mod snapshot;
mod table;
mod watch;

pub use exemplar::Exemplar;
pub use snapshot::{Attribute, Attributes, Buckets, Data, Metric, Number, Point, Snapshot};

pub(crate) use gather::{Outside, gather};
pub(crate) use requests::ended;
pub(crate) use runaways::Judged;

use redhanded_capture::monotonic_ns;
use requests::Requests;
use runaways::Runaways;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;
use watch::Watch;

/// Some install of this process counts. One word for all of them, because a request may look at no more.
static ANY: AtomicBool = AtomicBool::new(false);

/// Whether any install counts.
#[inline]
pub(crate) fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// The numbers of one install; without memory of its own until they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    counted: OnceLock<Box<Counted>>,
    /// Exports of metrics that did not arrive.
    lost_exports: AtomicU64,
}

/// What exists when numbers are asked for.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) requests: Requests,
    pub(crate) runaways: Runaways,
    pub(crate) watch: Watch,
    since: SystemTime,
    since_ns: u64,
}

impl Meter {
    /// What is counted; `None` as long as nobody has asked for it.
    #[inline]
    pub(crate) fn counted(&self) -> Option<&Counted> {
        self.counted.get().map(AsRef::as_ref)
    }

    /// Counts from now on, if it did not yet. `shards` is how many threads are expected at once.
    pub(crate) fn start(&self, shards: usize) -> &Counted {
        ANY.store(true, Ordering::Relaxed);
        self.counted.get_or_init(|| {
            Box::new(Counted {
                requests: Requests::new(shards),
                runaways: Runaways::new(),
                watch: Watch::default(),
                since: SystemTime::now(),
                since_ns: monotonic_ns(),
            })
        })
    }

    /// Somebody's export did not arrive.
    pub(crate) fn lose_export(&self) {
        self.lost_exports.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_exports(&self) -> u64 {
        self.lost_exports.load(Ordering::Relaxed)
    }
}

impl Counted {
    /// Wall time `at_ns` of the monotonic clock, as it was set when the counting began: it goes on evenly whatever the
    /// wall clock does.
    pub(crate) fn wall(&self, at_ns: u64) -> SystemTime {
        let after = std::time::Duration::from_nanos(at_ns.saturating_sub(self.since_ns));
        self.since.checked_add(after).unwrap_or(self.since)
    }

    /// When the counting began.
    pub(crate) fn since(&self) -> SystemTime {
        self.since
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
