//! ① What a request tells of itself: its `tracing` spans and events, in a ring of its own.
//!
//! `redhanded-trace` calls the functions of this module for whatever its layer sees; what they note
//! is forgotten with the request, unless it is looked at. Nothing is formatted but the values whose
//! type says nothing else. A span is found again by the key that the layer gives it, its id; whose it
//! is, is decided when it begins: the request of the thread, else that of the span around it.

mod callsite;
mod entry;
mod fields;
mod packed;
mod pool;
mod read;
mod ring;
mod thread;

pub use callsite::{Callsite, Level, Number, number};
pub use fields::Fields;
pub use pool::StoryStats;
pub(crate) use pool::stats;
pub use read::{Event, Field, Link, Span, Story, Value};
pub(crate) use read::{Snapshot, snapshot};

use crate::registry::Slot;
use entry::kind;
use redhanded_capture::quick_ns;
use thread::{Target, Whose};

/// What something happens in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The span that this thread is inside of.
    Current,
    /// None.
    Root,
    /// The span with this key.
    Of(u64),
}

/// Where something is to be noted: a request, and a span of it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    target: Target,
    parent: u32,
}

/// Where a span or event is to be noted that happens on this thread in `parent`; `None` if that is in
/// no request, or in one that there is no ring for, which is counted.
#[inline]
pub fn place(parent: Parent) -> Option<Place> {
    let whose = thread::target();
    let around = match parent {
        Parent::Current => thread::current(),
        Parent::Root => None,
        Parent::Of(key) => thread::find(key),
    };
    match (whose, around) {
        (Whose::A(target), around) => {
            let around = around.filter(|found| found.ring.index == target.ring.index);
            let parent = around.map_or(0, |found| found.entry.serial());
            Some(Place { target, parent })
        }
        (Whose::Nobodys, Some(found)) => {
            let parent = found.entry.serial();
            found.target().map(|target| Place { target, parent })
        }
        (Whose::Nobodys, None) => None,
        (Whose::Unheard, _) => {
            pool::count_no_ring();
            None
        }
    }
}

impl Place {
    /// A span begins that is called `key` from now on; never zero.
    #[inline]
    pub fn begin(self, key: u64, callsite: Number, fields: &Fields) {
        let ring = self.target.ring;
        let now = (quick_ns(), self.parent);
        let begun = ring.begin(self.target.epoch, (key, callsite.0), now, fields.finish());
        if let Some(spot) = begun {
            thread::begun(key, ring, spot);
        }
    }

    /// An event happens.
    #[inline]
    pub fn event(self, callsite: Number, fields: &Fields) {
        let who = u64::from(self.parent) << 32;
        self.target.ring.append(
            self.target.epoch,
            (kind::EVENT, callsite.0),
            (quick_ns(), who),
            fields.finish(),
        );
    }
}

/// This thread enters the span `key`.
#[inline]
pub fn enter(key: u64) {
    thread::enter(key);
}

/// This thread leaves the span `key`.
#[inline]
pub fn exit(key: u64) {
    thread::exit(key);
}

/// The span `key` is over.
#[inline]
pub fn end(key: u64) {
    let Some(found) = thread::find(key) else {
        return pool::close_left(key);
    };
    let epoch = found.ring.epoch();
    let spot = found.spot();
    pool::forget(key, spot);
    found.ring.end(epoch, spot, key, quick_ns());
}

/// Whether the span `key` is noted: its values need not be looked at otherwise.
pub fn knows(key: u64) -> bool {
    thread::find(key).is_some()
}

/// More fields of the span `key`; their numbers are those of its callsite.
pub fn record(key: u64, fields: &Fields) {
    if let Some(found) = thread::find(key) {
        let what = (kind::FIELDS, found.entry.callsite());
        let who = u64::from(found.entry.serial());
        if let Some(Target { ring, epoch }) = found.target() {
            ring.append(epoch, what, (quick_ns(), who), fields.finish());
        }
    }
}

/// The span `key` follows from the span `cause`, in the same request; of others nothing is noted.
pub fn follows(key: u64, cause: u64) {
    if let (Some(found), Some(cause)) = (thread::find(key), thread::find(cause))
        && found.ring.index == cause.ring.index
    {
        let who = u64::from(found.entry.serial()) | u64::from(cause.entry.serial()) << 32;
        if let (Some(Target { ring, epoch }), Some(_)) = (found.target(), cause.target()) {
            ring.append(epoch, (kind::FOLLOWS, 0), (quick_ns(), who), (&[], 0));
        }
    }
}

/// The ring of a request that is over, until somebody has read it.
#[derive(Debug)]
pub(crate) struct Detached(u16);

/// Takes its story from the request in `slot`, which ends.
pub(crate) fn detach(slot: &Slot) -> Option<Detached> {
    slot.take_story().map(Detached)
}

impl Detached {
    /// What it says.
    pub(crate) fn read(&self) -> Story {
        read::snapshot_of(self.0).read()
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(ring) = pool::at(self.0) {
            pool::give_back(ring);
        }
    }
}

/// The request in `slot` is over and nobody looks at it any more: its ring is the next one's.
#[cold]
#[inline(never)]
pub(crate) fn release(slot: &Slot) {
    if let Some(ring) = slot.take_story().and_then(pool::at) {
        pool::give_back(ring);
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
