//! Who may touch a slot: the handshake between a request and the watchdog.
//!
//! A request opens its slot and closes it; nobody ever makes it wait. The watchdog pins a slot to
//! read it. A closer that finds the slot pinned (or kept, because the request was caught) leaves
//! it to the watchdog, which recycles it when it is done: the clean-up is handed over.
//!
//! One word: the generation above, four flags below. The generation grows when a slot is
//! recycled, so that a stale reference is recognised.

use crate::sync::{AtomicU64, Ordering};

/// The request is in flight.
const LIVE: u64 = 1;
/// The watchdog is reading the slot.
const PINNED: u64 = 2;
/// The request was caught: the watchdog wants to see its end.
const KEPT: u64 = 4;
/// It has a story, which somebody must read or put away.
const STORY: u64 = 8;
const FLAGS: u32 = 8;

/// What is left to do for whoever closed or released a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum After {
    /// Nothing: the other side has the slot now.
    Nothing,
    /// The slot is the caller's alone: clean it and put it back.
    Recycle,
    /// The same, and its request has a story.
    Story,
}

/// The state word of one slot.
#[derive(Debug)]
pub(crate) struct Handshake(AtomicU64);

impl Handshake {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The owner of a free slot makes it visible. Returns its generation.
    ///
    /// Sequentially consistent: the opener looks at `due` and `parked` afterwards, the watchdog
    /// writes those first and looks here afterwards; one of the two must see the other.
    #[inline]
    pub(crate) fn open(&self) -> u32 {
        let generation = (self.0.load(Ordering::Relaxed) >> FLAGS) as u32;
        self.0
            .swap((u64::from(generation) << FLAGS) | LIVE, Ordering::SeqCst);
        generation
    }

    /// The request has ended.
    #[inline]
    pub(crate) fn close(&self) -> After {
        let before = self.0.fetch_and(!LIVE, Ordering::AcqRel);
        if before & (PINNED | KEPT | STORY) == 0 {
            After::Recycle
        } else if before & (PINNED | KEPT) == 0 {
            After::Story
        } else {
            After::Nothing
        }
    }

    /// The request that is in flight in `generation` has a story from now on; `false` if it is over.
    pub(crate) fn has_story_now(&self, generation: u32) -> bool {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            if seen & LIVE == 0 || (seen >> FLAGS) as u32 != generation {
                return false;
            }
            let new = seen | STORY;
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// The whole state, but for who looks: the same as long as it is the same request's, and that in flight.
    #[inline]
    pub(crate) fn state(&self) -> u64 {
        self.0.load(Ordering::Acquire) & !(PINNED | KEPT)
    }

    /// Whether a [`state`](Self::state) is that of a request in flight with a story.
    #[inline]
    pub(crate) fn is_telling(state: u64) -> bool {
        state & (LIVE | STORY) == LIVE | STORY
    }

    /// The generation whose request has a story, in flight or not.
    #[inline]
    pub(crate) fn with_story(&self) -> Option<u32> {
        let word = self.0.load(Ordering::Acquire);
        (word & STORY != 0).then_some((word >> FLAGS) as u32)
    }

    /// Whether the request was caught; a hint for the closer, which then reads the clock.
    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed) & KEPT != 0
    }

    /// The generation now; to see that a slot is somebody else's by now.
    pub(crate) fn generation(&self) -> u32 {
        (self.0.load(Ordering::Acquire) >> FLAGS) as u32
    }

    /// In flight as far as one can see without pinning; for scans.
    #[inline]
    pub(crate) fn looks_live(&self) -> bool {
        self.0.load(Ordering::SeqCst) & LIVE != 0
    }

    /// The watchdog pins a live slot, of any generation or of the given one.
    ///
    /// Returns the generation, or `None` when the slot is free, closing, or somebody else's by now.
    pub(crate) fn pin(&self, wanted: Option<u32>) -> Option<u32> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let generation = (seen >> FLAGS) as u32;
            if seen & LIVE == 0 || seen & PINNED != 0 || wanted.is_some_and(|w| w != generation) {
                return None;
            }
            match self.0.compare_exchange_weak(
                seen,
                seen | PINNED,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(generation),
                Err(now) => seen = now,
            }
        }
    }

    /// The watchdog is done reading; with `keep` the slot survives its request's end until
    /// [`release`](Self::release).
    pub(crate) fn unpin(&self, keep: bool) -> After {
        if keep {
            self.0.fetch_or(KEPT, Ordering::AcqRel);
        }
        let before = self.0.fetch_and(!PINNED, Ordering::AcqRel);
        if before & (LIVE | KEPT) == 0 {
            After::Recycle
        } else {
            After::Nothing
        }
    }

    /// Whether a kept slot's request has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) & LIVE == 0
    }

    /// The watchdog no longer wants to see the end of a kept slot.
    pub(crate) fn release(&self) -> After {
        let before = self.0.fetch_and(!KEPT, Ordering::AcqRel);
        if before & (LIVE | PINNED) == 0 {
            After::Recycle
        } else {
            After::Nothing
        }
    }

    /// The owner of a slot that is neither live nor pinned nor kept starts its next generation.
    pub(crate) fn recycled(&self) {
        let generation = (self.0.load(Ordering::Relaxed) >> FLAGS) as u32;
        self.0.store(
            u64::from(generation.wrapping_add(1)) << FLAGS,
            Ordering::Release,
        );
    }
}

#[cfg(all(test, redhanded_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    struct Slot {
        hand: Handshake,
        fact: AtomicU64,
        recycled: AtomicU64,
    }

    impl Slot {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                hand: Handshake::new(),
                fact: AtomicU64::new(0),
                recycled: AtomicU64::new(0),
            })
        }
        fn recycle(&self) {
            // wiped first: who still read now would read the wrong thing and the model would see it
            self.fact.store(u64::MAX, Ordering::Relaxed);
            self.recycled.fetch_add(1, Ordering::AcqRel);
            self.hand.recycled();
        }
    }

    #[test]
    fn a_pinned_slot_is_never_recycled_and_always_once() {
        loom::model(|| {
            let slot = Slot::new();
            let request = {
                let slot = slot.clone();
                thread::spawn(move || {
                    slot.fact.store(7, Ordering::Relaxed);
                    let _ = slot.hand.open();
                    if slot.hand.close() == After::Recycle {
                        slot.recycle();
                    }
                })
            };
            if slot.hand.pin(None).is_some() {
                assert_eq!(
                    slot.fact.load(Ordering::Relaxed),
                    7,
                    "recycled under the reader"
                );
                if slot.hand.unpin(false) == After::Recycle {
                    slot.recycle();
                }
            }
            request.join().unwrap();
            assert_eq!(slot.recycled.load(Ordering::Acquire), 1);
        });
    }

    /// A child may give its request a story at any time: who closes sees it, or it comes too late.
    #[test]
    fn a_story_is_put_away_once_or_not_begun() {
        loom::model(|| {
            let slot = Slot::new();
            let put_away = Arc::new(AtomicU64::new(0));
            let generation = slot.hand.open();
            let request = {
                let (slot, put_away) = (slot.clone(), put_away.clone());
                thread::spawn(move || match slot.hand.close() {
                    After::Recycle => slot.recycle(),
                    After::Story => {
                        put_away.fetch_add(1, Ordering::AcqRel);
                        slot.recycle();
                    }
                    After::Nothing => {}
                })
            };
            let watchdog = {
                let (slot, put_away) = (slot.clone(), put_away.clone());
                thread::spawn(move || {
                    if slot.hand.pin(None).is_some() && slot.hand.unpin(false) == After::Recycle {
                        let has = u64::from(slot.hand.with_story().is_some());
                        put_away.fetch_add(has, Ordering::AcqRel);
                        slot.recycle();
                    }
                })
            };
            let has = slot.hand.has_story_now(generation);
            request.join().unwrap();
            watchdog.join().unwrap();
            assert_eq!(slot.recycled.load(Ordering::Acquire), 1);
            assert_eq!(put_away.load(Ordering::Acquire), u64::from(has));
            assert_eq!(slot.hand.with_story(), None);
        });
    }

    #[test]
    fn a_kept_slot_waits_for_its_release() {
        loom::model(|| {
            let slot = Slot::new();
            slot.fact.store(7, Ordering::Relaxed);
            let _ = slot.hand.open();
            let request = {
                let slot = slot.clone();
                thread::spawn(move || {
                    if slot.hand.close() == After::Recycle {
                        slot.recycle();
                    }
                })
            };
            if slot.hand.pin(Some(0)).is_some() {
                let after = slot.hand.unpin(true);
                assert_eq!(after, After::Nothing);
                let _ = slot.hand.has_ended();
                assert_eq!(slot.fact.load(Ordering::Relaxed), 7);
                if slot.hand.release() == After::Recycle {
                    slot.recycle();
                }
            }
            request.join().unwrap();
            assert_eq!(slot.recycled.load(Ordering::Acquire), 1);
        });
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stale_generation_is_not_pinned() {
        let hand = Handshake::new();
        let first = hand.open();
        assert_eq!(hand.close(), After::Recycle);
        hand.recycled();
        let second = hand.open();
        assert_ne!(first, second);
        assert_eq!(hand.pin(Some(first)), None);
        assert_eq!(hand.pin(Some(second)), Some(second));
        assert_eq!(hand.pin(None), None, "pinned twice");
    }

    #[test]
    fn closing_a_pinned_slot_hands_it_over() {
        let hand = Handshake::new();
        hand.open();
        hand.pin(None).unwrap();
        assert_eq!(hand.close(), After::Nothing);
        assert_eq!(hand.unpin(false), After::Recycle);
    }
}
