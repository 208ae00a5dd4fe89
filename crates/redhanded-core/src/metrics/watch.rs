//! What the watchdog itself costs, and how punctual it is.

use super::snapshot::Buckets;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in seconds.
const BOUNDS: [f64; 10] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];

/// Written by the watchdog alone.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// How long its rounds took.
    pub(crate) rounds: Spread,
    /// How much later than it meant to it began them.
    pub(crate) late: Spread,
    cpu_ns: AtomicU64,
}

/// Durations in [`BOUNDS`], added by one thread.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

impl Watch {
    /// CPU time of its thread so far.
    pub(crate) fn set_cpu_ns(&self, cpu_ns: u64) {
        self.cpu_ns.store(cpu_ns, Ordering::Relaxed);
    }

    pub(super) fn cpu_s(&self) -> f64 {
        self.cpu_ns.load(Ordering::Relaxed) as f64 / 1e9
    }
}

impl Spread {
    pub(crate) fn record(&self, ns: u64) {
        let seconds = ns as f64 / 1e9;
        let at = BOUNDS.iter().filter(|bound| seconds > **bound).count();
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Buckets {
        let mut buckets = Buckets::empty(&BOUNDS);
        for (sum, count) in buckets.counts.iter_mut().zip(&self.counts) {
            *sum = count.load(Ordering::Relaxed);
        }
        buckets.sum = self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
        buckets
    }
}
