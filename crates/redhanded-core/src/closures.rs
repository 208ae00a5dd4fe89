//! ① Closures that were handed to the blocking pool and that no thread of it has begun.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of so many it is known since when they wait; further ones are only counted.
const DATED: usize = 4096;

/// The closures of one install that wait for a thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closures(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicU64,
    next: AtomicU64,
    /// When each was handed over, in nanoseconds of the monotonic clock, by its number.
    since_ns: Mutex<BTreeMap<u64, u64>>,
}

/// A place in the queue; dropped when the closure begins, or is dropped without that.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Closures,
    number: u64,
}

/// What waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) closures: u64,
    /// Since when the one waits that has waited longest, in nanoseconds of the monotonic clock.
    pub(crate) since_ns: u64,
}

impl Closures {
    /// Takes a place in the queue, from `now_ns` on.
    pub(crate) fn queue(&self, now_ns: u64) -> Place {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut since_ns = self.0.since_ns.lock();
        if since_ns.len() < DATED {
            since_ns.insert(number, now_ns);
        }
        drop(since_ns);
        Place {
            queue: self.clone(),
            number,
        }
    }

    /// Who waits; `None` if nobody does.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let closures = self.0.waiting.load(Ordering::Relaxed);
        if closures == 0 {
            return None;
        }
        let since_ns = *self.0.since_ns.lock().first_key_value()?.1;
        Some(Waiting { closures, since_ns })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.0.since_ns.lock().remove(&self.number);
        self.queue.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_those_that_wait_is_known() {
        let closures = Closures::default();
        assert_eq!(closures.waiting(), None);
        let (first, second) = (closures.queue(10), closures.queue(20));
        let seen = |closures, since_ns| Some(Waiting { closures, since_ns });
        assert_eq!(closures.waiting(), seen(2, 10));
        drop(first);
        assert_eq!(closures.waiting(), seen(1, 20));
        drop(second);
        assert_eq!(closures.waiting(), None);
    }

    #[test]
    fn all_are_counted_and_few_are_dated() {
        let closures = Closures::default();
        let places: Vec<Place> = (0..10_000).map(|at| closures.queue(at)).collect();
        assert_eq!(closures.waiting().map(|w| w.closures), Some(10_000));
        assert_eq!(closures.0.since_ns.lock().len(), DATED);
        drop(places);
        assert_eq!(closures.waiting(), None);
    }
}
