//! Whose span or event it is: the request of the thread, else that of the span around it.

use super::packed::{SPOT_BITS, Spot};
use super::pool;
use super::ring::{Entry, Ring, SPOT};
use crate::family;
use crate::registry::{Key, Slot};
use crate::worker::Worker;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    // const and without Drop: subscribers are called until the very end of a thread
    static HERE: Here = const { Here {
        span: Cell::new(0),
        number: Cell::new(0),
        key: Cell::new(0),
        slot: Cell::new(None),
    } };
}

/// What this thread is inside of.
struct Here {
    /// The span that it entered last and has not left, as the word of its spot.
    span: Cell<u64>,
    /// Which thread it is; 0 when it has not been asked.
    number: Cell<u64>,
    /// The request that was polled here last, and its slot: found without a look-up.
    key: Cell<u64>,
    slot: Cell<Option<&'static Slot>>,
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
    pub(super) spot: Spot,
}

/// A word of a thread's number, above where a spot lies.
#[inline]
fn number(here: &Here) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if here.number.get() == 0 {
        // Threads that share a number share nothing else: at worst one takes the other's spans for its own.
        let next = NEXT.fetch_add(1, Ordering::Relaxed) << SPOT_BITS;
        here.number.set(next.max(1 << SPOT_BITS));
    }
    here.number.get()
}

/// The ring of the request that this thread polls; it gets one, if it has none and there is one.
#[inline]
pub(super) fn target() -> Whose {
    let Some(key) = Worker::known().and_then(Worker::current) else {
        return Whose::Nobodys;
    };
    let slot = HERE
        .try_with(|here| {
            if here.key.get() == key.word() {
                return here.slot.get();
            }
            let slot = slot_of(key);
            here.key.set(key.word());
            here.slot.set(slot);
            slot
        })
        .ok()
        .flatten();
    match slot {
        Some(slot) if slot.is_child() => target_of(family::request_of(slot)),
        Some(slot) => target_of(slot),
        None => Whose::Nobodys,
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

#[cold]
fn slot_of(key: Key) -> Option<&'static Slot> {
    crate::engine::Engine::of(key)?.registry.slot(key)
}

#[inline]
fn target_of(slot: &'static Slot) -> Whose {
    if let Some(ring) = slot.story().and_then(pool::at) {
        let epoch = ring.epoch();
        // It is still the request's after its epoch was read.
        if slot.story() == Some(ring.index) {
            return Whose::A(Target { ring, epoch });
        }
    }
    match attach(slot) {
        Some(target) => Whose::A(target),
        None => Whose::Unheard,
    }
}

/// Gives the request in `slot` a ring.
#[cold]
fn attach(slot: &'static Slot) -> Option<Target> {
    let ring = pool::take()?;
    let epoch = ring.epoch();
    if slot.attach_story(ring.index) {
        return Some(Target { ring, epoch });
    }
    pool::give_back(ring);
    // A child of it was quicker; or it is over.
    let ring = slot.story().and_then(pool::at)?;
    let epoch = ring.epoch();
    (slot.story() == Some(ring.index)).then_some(Target { ring, epoch })
}

/// The open span at `spot`, if it is still that.
#[inline]
pub(super) fn look_up(spot: Spot) -> Option<Found> {
    let ring = pool::at(spot.ring)?;
    let entry = ring.open.get(usize::from(spot.entry))?;
    let is_it = entry.serial() == spot.serial && entry.key.load(Ordering::Relaxed) != 0;
    is_it.then_some(Found { ring, entry, spot })
}

/// The open span that the layer calls `key`.
#[inline]
pub(super) fn find(key: u64) -> Option<Found> {
    if let Some(spot) = pool::noted(key)
        && let Some(ring) = pool::at(spot.ring)
        && let Some(entry) = ring.open.get(usize::from(spot.entry))
        && entry.key.load(Ordering::Acquire) == key
    {
        let serial = entry.serial();
        let spot = Spot { serial, ..spot };
        return Some(Found { ring, entry, spot });
    }
    find_slowly(key)
}

/// Another span has taken its place, or it is of no request: it may be where this thread is.
#[cold]
fn find_slowly(key: u64) -> Option<Found> {
    let around = current().map(|found| found.ring);
    let slot = Worker::known().and_then(Worker::current_slot);
    let requests = slot.map(family::request_of).and_then(Slot::story);
    let ring = around.or_else(|| requests.and_then(pool::at));
    let ring = ring?;
    let (number, entry) = ring.find(key)?;
    let spot = Spot {
        ring: ring.index,
        entry: number,
        serial: entry.serial(),
    };
    Some(Found { ring, entry, spot })
}

/// The span that this thread is inside of.
#[inline]
pub(super) fn current() -> Option<Found> {
    let word = HERE.try_with(|here| here.span.get()).ok()?;
    look_up(Spot::of(word)?)
}

/// This thread enters `found`.
#[inline]
pub(super) fn enter(found: Found, now_ns: u64) {
    let _ = HERE.try_with(|here| {
        let outer = here.span.replace(found.spot.word());
        found.entry.enter(outer, number(here), now_ns);
    });
}

/// This thread leaves `found`.
#[inline]
pub(super) fn exit(found: Found, now_ns: u64) {
    let _ = HERE.try_with(|here| {
        let Some(outer) = found.entry.exit(number(here), now_ns) else {
            return;
        };
        if here.span.get() == found.spot.word() {
            here.span.set(outer);
        } else {
            leave_in_between(here, found.spot.word(), outer);
        }
    });
}

/// Spans that are left in another order than they were entered.
#[cold]
fn leave_in_between(here: &Here, left: u64, outer: u64) {
    let mut inner = here.span.get();
    for _ in 0..64 {
        let Some(found) = Spot::of(inner).and_then(look_up) else {
            return;
        };
        let word = found.entry.outer();
        inner = word & SPOT;
        if inner == left {
            found.entry.set_outer(word - inner + outer);
            return;
        }
    }
}
