//! How long something took, in buckets: relaxed atomics, in shards so that threads do not fight over a line.

use super::exemplar::Exemplar;
use super::snapshot::Buckets;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in seconds, those that OpenTelemetry's conventions advise for the duration of requests.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration>
pub(super) const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The same in nanoseconds.
const BOUNDS_NS: [u64; 14] = {
    let mut ns = [0; 14];
    let mut at = 0;
    while at < 14 {
        // Exact: each is a whole number of milliseconds, and the half added makes up for what a float lacks.
        ns[at] = (BOUNDS[at] * 1e9 + 0.5) as u64;
        at += 1;
    }
    ns
};
/// One more than bounds: what is above the last.
pub(super) const BUCKETS: usize = 15;

/// The bucket of a duration; a bound belongs to the bucket below it.
#[inline]
pub(super) fn bucket(ns: u64) -> usize {
    // Most requests are here.
    if ns <= BOUNDS_NS[0] {
        return 0;
    }
    BOUNDS_NS.iter().filter(|bound| ns > **bound).count()
}

/// The counts of one shard: two lines of cache, and nobody else's.
#[derive(Debug)]
#[repr(align(128))]
struct Cells {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Cells {
    fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_ns: AtomicU64::new(0),
        }
    }
}

/// Durations in [`BOUNDS`].
#[derive(Debug)]
pub(super) struct Histogram {
    /// A power of two.
    shards: Box<[Cells]>,
    exemplars: Mutex<Option<Box<[Option<Exemplar>; BUCKETS]>>>,
}

impl Histogram {
    /// With at least `shards`, and no more than it takes to keep threads apart.
    pub(super) fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, 32).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Cells::new()).collect(),
            exemplars: Mutex::new(None),
        }
    }

    /// Adds one; `shard` is any number that differs between threads.
    #[inline]
    pub(super) fn record(&self, shard: u16, ns: u64) {
        let at = usize::from(shard) & (self.shards.len() - 1);
        if let Some(cells) = self.shards.get(at)
            && let Some(count) = cells.buckets.get(bucket(ns))
        {
            count.fetch_add(1, Ordering::Relaxed);
            cells.sum_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// Keeps an example of the bucket of `ns`, in place of the one before; not if somebody reads them just now.
    pub(super) fn exemplify(&self, ns: u64, exemplar: Exemplar) {
        if let Some(mut kept) = self.exemplars.try_lock() {
            let kept = kept.get_or_insert_with(|| Box::new([const { None }; BUCKETS]));
            if let Some(place) = kept.get_mut(bucket(ns)) {
                *place = Some(exemplar);
            }
        }
    }

    /// What was counted so far. Whoever counts meanwhile is in it or is not; nobody is twice.
    pub(super) fn read(&self) -> Buckets {
        let mut buckets = Buckets::empty(&BOUNDS);
        for cells in &self.shards {
            for (sum, count) in buckets.counts.iter_mut().zip(&cells.buckets) {
                *sum += count.load(Ordering::Relaxed);
            }
            buckets.sum += cells.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
        }
        if let Some(kept) = self.exemplars.lock().as_deref() {
            buckets.exemplars = kept.iter().flatten().cloned().collect();
        }
        buckets
    }

    /// How many were counted.
    pub(super) fn count(&self) -> u64 {
        let counts = self.shards.iter().flat_map(|cells| &cells.buckets);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        assert_eq!(BOUNDS_NS[0], 5_000_000);
        assert_eq!(BOUNDS_NS[13], 10_000_000_000);
        for (at, bound) in BOUNDS_NS.into_iter().enumerate() {
            assert_eq!(bucket(bound - 1), at);
            assert_eq!(bucket(bound), at);
            assert_eq!(bucket(bound + 1), at + 1);
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn sixteen_threads_lose_nothing() {
        // One shard, so that all are at the same words.
        let histogram = Histogram::new(1);
        std::thread::scope(|scope| {
            for thread in 0..16_u16 {
                let histogram = &histogram;
                scope.spawn(move || {
                    for n in 0..10_000_u64 {
                        histogram.record(thread, n * 1_000_000);
                    }
                });
            }
            for _ in 0..100 {
                let read = histogram.read();
                assert!(read.count() <= 160_000);
            }
        });
        let read = histogram.read();
        assert_eq!(read.count(), 160_000);
        assert_eq!(read.counts[0], 16 * 6, "0 to 5 ms");
        let sum_s = 16.0 * (0..10_000).map(f64::from).sum::<f64>() / 1e3;
        assert!((read.sum - sum_s).abs() < 1e-6 * sum_s, "{}", read.sum);
    }
}
