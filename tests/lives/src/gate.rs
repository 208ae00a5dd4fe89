//! How a handler tells its batch that a request has come to where it is to be left.

use crate::comes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests that have come to where they hang.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicU64>);

impl Gate {
    pub(crate) fn arrive(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How many have come since the beginning.
    pub fn arrived(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until `count` have come.
    ///
    /// # Panics
    ///
    /// If they do not, in due time.
    pub async fn wait(&self, count: u64, what: &str) {
        let here = comes(|| self.arrived() >= count).await;
        assert!(here, "{what}: {} of {count} requests came", self.arrived());
    }
}
