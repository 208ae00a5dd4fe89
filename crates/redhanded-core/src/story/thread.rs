//! Whose span or event it is: the request of the thread, else that of the span around it.

use super::entry::{Entry, SPOT};
use super::packed::{SPOT_BITS, Spot};
use super::pool;
use super::ring::Ring;
use crate::family;
use crate::registry::{Handshake, Key, Slot};
use crate::worker::Worker;
use redhanded_capture::quick_ns;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    // const and without Drop: subscribers are called until the very end of a thread
    static HERE: Here = const { Here {
        number: Cell::new(0),
        span: Cell::new(0),
        span_ring: Cell::new(None),
        recent: Cell::new(0),
        recent_ring: Cell::new(None),
        key: Cell::new(0),
        slot: Cell::new(None),
        state: Cell::new(0),
        ring: Cell::new(None),
        epoch: Cell::new(0),
    } };
}

/// What this thread is inside of, and what it has had to do with last: found again without a look-up.
struct Here {
    /// Which thread it is, above where a spot lies; 0 when it has not been asked.
    number: Cell<u64>,
    /// The span that it entered last and has not left, as the word of its spot, and its ring.
    span: Cell<u64>,
    span_ring: Cell<Option<&'static Ring>>,
    /// The entry that it found last, and its ring.
    recent: Cell<u8>,
    recent_ring: Cell<Option<&'static Ring>>,
    /// The request that was polled here last, its slot, and the state that this was in when it had this ring.
    key: Cell<u64>,
    slot: Cell<Option<&'static Slot>>,
    state: Cell<u64>,
    ring: Cell<Option<&'static Ring>>,
    epoch: Cell<u32>,
}

/// A ring, as long as it is the same request's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) ring: &'static Ring,
    pub(super) epoch: u32,
}

/// An open span's entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) ring: &'static Ring,
    pub(super) entry: &'static Entry,
    number: u8,
    key: u64,
}

impl Found {
    /// The ring, as long as it is the span's request's; `None` if that is over.
    #[inline]
    pub(super) fn target(self) -> Option<Target> {
        let epoch = self.ring.epoch();
        // Still its own after the epoch was read: still that request's.
        (self.entry.key.load(Ordering::Acquire) == self.key).then_some(Target {
            ring: self.ring,
            epoch,
        })
    }

    #[inline]
    pub(super) fn spot(self) -> Spot {
        Spot {
            ring: self.ring.index,
            entry: self.number,
            serial: self.entry.serial(),
        }
    }

    /// What is in the entry with this number, if that is `key`.
    #[inline]
    fn of(ring: &'static Ring, number: u8, key: u64) -> Option<Self> {
        let entry = ring.entry(number);
        let is_it = entry.key.load(Ordering::Acquire) == key;
        is_it.then_some(Self {
            ring,
            entry,
            number,
            key,
        })
    }
}

/// Whose something is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// Of a request with a ring.
    A(Target),
    /// Of a request that there was no ring for.
    Unheard,
    /// Of no request.
    Nobodys,
}

/// Whose the thread is: the request that it polls; that gets a ring, if it has none and there is one.
#[inline]
pub(super) fn target() -> Whose {
    let Some(key) = Worker::known().and_then(Worker::current) else {
        return Whose::Nobodys;
    };
    let known = HERE.try_with(|here| {
        let slot = here.slot.get().filter(|_| here.key.get() == key.word())?;
        let ring = here.ring.get()?;
        let epoch = here.epoch.get();
        (slot.hand.state() == here.state.get()).then_some(Target { ring, epoch })
    });
    match known {
        Ok(Some(target)) => Whose::A(target),
        _ => find_target(key),
    }
}

#[cold]
#[inline(never)]
fn find_target(key: Key) -> Whose {
    let slot = crate::engine::Engine::of(key).and_then(|engine| engine.registry.slot(key));
    let Some(slot) = slot else {
        return Whose::Nobodys;
    };
    if slot.is_child() {
        return target_of(family::request_of(slot));
    }
    let state = slot.hand.state();
    let whose = target_of(slot);
    // One that had a ring before, and is in flight: it keeps that as long as its state stays so.
    if let Whose::A(target) = whose
        && Handshake::is_telling(state)
    {
        let _ = HERE.try_with(|here| {
            here.key.set(key.word());
            here.slot.set(Some(slot));
            here.state.set(state);
            here.ring.set(Some(target.ring));
            here.epoch.set(target.epoch);
        });
    }
    whose
}

fn target_of(slot: &'static Slot) -> Whose {
    has_ring(slot).map_or_else(|| attach(slot), Whose::A)
}

fn has_ring(slot: &'static Slot) -> Option<Target> {
    let ring = slot.story().and_then(pool::at)?;
    let epoch = ring.epoch();
    // It is still the request's after its epoch was read.
    (slot.story() == Some(ring.index)).then_some(Target { ring, epoch })
}

/// Gives the request in `slot` a ring.
fn attach(slot: &'static Slot) -> Whose {
    if !slot.hand.looks_live() {
        return Whose::Nobodys;
    }
    let Some(ring) = pool::take() else {
        return Whose::Unheard;
    };
    let epoch = ring.epoch();
    if slot.attach_story(ring.index) {
        return Whose::A(Target { ring, epoch });
    }
    pool::give_back(ring);
    // A child of it was quicker; or it is over.
    has_ring(slot).map_or(Whose::Nobodys, Whose::A)
}

/// The open span that the layer calls `key`.
#[inline]
pub(super) fn find(key: u64) -> Option<Found> {
    HERE.try_with(|here| here.find(key)).ok().flatten()
}

/// The span that this thread is inside of.
#[inline]
pub(super) fn current() -> Option<Found> {
    HERE.try_with(Here::current).ok().flatten()
}

/// This thread enters the span `key`.
#[inline]
pub(super) fn enter(key: u64) {
    let _ = HERE.try_with(|here| {
        if let Some(found) = here.find(key) {
            let outer = here.span.replace(found.spot().word());
            here.span_ring.set(Some(found.ring));
            found.entry.enter(outer, here.number(), quick_ns());
        }
    });
}

/// This thread leaves the span `key`.
#[inline]
pub(super) fn exit(key: u64) {
    let _ = HERE.try_with(|here| {
        let inside = here.span_ring.get();
        let inside = inside.and_then(|ring| Found::of(ring, Spot::entry_of(here.span.get()), key));
        let Some(found) = inside.or_else(|| here.find(key)) else {
            return;
        };
        here.note(found);
        if let Some(outer) = found.entry.exit(here.number(), quick_ns()) {
            here.back(found, outer);
        }
    });
}

impl Here {
    #[inline]
    fn find(&self, key: u64) -> Option<Found> {
        let recent = self.recent_ring.get();
        let recent = recent.and_then(|ring| Found::of(ring, self.recent.get(), key));
        recent.or_else(|| {
            let found = pool::noted(key).and_then(|spot| {
                let ring = pool::at(spot.ring)?;
                Found::of(ring, spot.entry, key)
            });
            let found = found.or_else(|| self.find_slowly(key))?;
            self.note(found);
            Some(found)
        })
    }

    #[inline]
    fn note(&self, found: Found) {
        self.recent.set(found.number);
        self.recent_ring.set(Some(found.ring));
    }

    /// Another span has taken its place, or it is of no request: it may be where this thread is.
    #[cold]
    fn find_slowly(&self, key: u64) -> Option<Found> {
        let around = self.current().map(|found| found.ring);
        let slot = Worker::known().and_then(Worker::current_slot);
        let requests = slot.map(family::request_of).and_then(Slot::story);
        let ring = around.or_else(|| requests.and_then(pool::at))?;
        let (number, entry) = ring.find(key)?;
        Some(Found {
            ring,
            entry,
            number,
            key,
        })
    }

    #[inline]
    fn current(&self) -> Option<Found> {
        let spot = Spot::of(self.span.get())?;
        look_up(self.span_ring.get()?, spot)
    }

    /// It has left `found`, and is at `outer` now.
    #[inline]
    fn back(&self, found: Found, outer: u64) {
        let left = found.spot().word();
        if self.span.get() != left {
            return self.leave_in_between(left, outer);
        }
        self.span.set(outer);
        if Spot::of(outer).is_some_and(|spot| spot.ring != found.ring.index) {
            self.find_ring(outer);
        }
    }

    #[cold]
    fn find_ring(&self, word: u64) {
        let ring = Spot::of(word).and_then(|spot| pool::at(spot.ring));
        self.span_ring.set(ring);
    }

    /// Spans that are left in another order than they were entered.
    #[cold]
    fn leave_in_between(&self, left: u64, outer: u64) {
        let mut inner = self.span.get();
        for _ in 0..64 {
            let found = Spot::of(inner).and_then(|spot| look_up(pool::at(spot.ring)?, spot));
            let Some(found) = found else { return };
            let word = found.entry.outer();
            inner = word & SPOT;
            if inner == left {
                found.entry.set_outer(word - inner + outer);
                return;
            }
        }
    }

    #[inline]
    fn number(&self) -> u64 {
        let number = self.number.get();
        if number == 0 { self.first() } else { number }
    }

    #[cold]
    fn first(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Threads that share a number share nothing else: at worst one takes the other's spans for its own.
        let next = NEXT.fetch_add(1, Ordering::Relaxed) << SPOT_BITS;
        self.number.set(next.max(1 << SPOT_BITS));
        self.number.get()
    }
}

/// The open span at `spot` of `ring`, if it is still that.
#[inline]
fn look_up(ring: &'static Ring, spot: Spot) -> Option<Found> {
    let entry = ring.entry(spot.entry);
    // Before its number: with the key of a younger one comes the younger one's number.
    let key = entry.key.load(Ordering::Acquire);
    let is_it = ring.index == spot.ring && key != 0 && entry.serial() == spot.serial;
    is_it.then_some(Found {
        ring,
        entry,
        number: spot.entry,
        key,
    })
}

/// The span `key` has begun at `spot` of `ring`, on this thread.
#[inline]
pub(super) fn begun(key: u64, ring: &'static Ring, spot: Spot) {
    pool::note(key, spot);
    let _ = HERE.try_with(|here| {
        here.recent.set(spot.entry);
        here.recent_ring.set(Some(ring));
    });
}
