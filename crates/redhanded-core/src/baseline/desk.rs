//! Where requests' threads leave facts for others to sort: a little room that is always there.

use crate::registry::{ARENA_WORDS, Label, Slot};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Facts that may lie here until the watchdog's next round; of one more nothing is kept.
const PLACES: usize = 128;

/// Facts of normal requests that are in no reservoir yet.
#[derive(Debug)]
pub(super) struct Desk {
    places: Mutex<Places>,
    any: AtomicBool,
}

#[derive(Debug)]
struct Places {
    /// All are there from the beginning, with room for the facts of any request.
    left: Vec<Left>,
    used: usize,
}

/// What one request has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) words: Vec<u64>,
    pub(super) labels: Vec<Label>,
    stands_for: u32,
}

impl Desk {
    pub(super) fn new() -> Self {
        let place = || Left {
            words: Vec::with_capacity(ARENA_WORDS),
            ..Left::default()
        };
        Self {
            places: Mutex::new(Places {
                left: std::iter::repeat_with(place).take(PLACES).collect(),
                used: 0,
            }),
            any: AtomicBool::new(false),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Copies the facts of a request that ends; `false` when there is no room, or somebody is here.
    pub(super) fn leave(&self, slot: &Slot) -> bool {
        let Some(mut places) = self.places.try_lock() else {
            return false;
        };
        let at = places.used;
        let Some(left) = places.left.get_mut(at) else {
            return false;
        };
        slot.facts.copy_to(&mut left.words);
        let labels = slot.try_extra(slot.hand.generation(), |extra| extra.labels().0);
        left.labels = labels.unwrap_or_default();
        left.stands_for = slot.sampled_as();
        places.used += 1;
        self.any.store(true, Ordering::Release);
        true
    }

    /// Shows everything that was left, and for how many requests each stands; then it is gone. If
    /// somebody is here, all stays: he may be off the CPU for long.
    pub(super) fn clear(&self, mut show: impl FnMut(&mut Left, u32)) {
        let Some(mut places) = self.places.try_lock() else {
            return;
        };
        let used = std::mem::take(&mut places.used);
        for left in places.left.iter_mut().take(used) {
            let stands_for = left.stands_for;
            show(left, stands_for);
        }
        self.any.store(false, Ordering::Release);
    }

    #[cfg(all(test, not(redhanded_loom)))]
    pub(super) fn hold(&self) -> impl Drop + '_ {
        self.places.lock()
    }
}
