//! How a handler tells its batch that a request has come to where it is to be left.

use crate::comes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests that have come to where they hang.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    deserted: AtomicU64,
}

impl Gate {
    pub(crate) fn arrive(&self) {
        self.0.arrived.fetch_add(1, Ordering::SeqCst);
    }

    /// A handler has heard from its upload that the client has gone.
    pub(crate) fn desert(&self) {
        self.0.deserted.fetch_add(1, Ordering::SeqCst);
    }

    /// How many handlers have heard so since the beginning.
    pub fn deserted(&self) -> u64 {
        self.0.deserted.load(Ordering::SeqCst)
    }

    /// How many have come since the beginning.
    pub fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::SeqCst)
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
