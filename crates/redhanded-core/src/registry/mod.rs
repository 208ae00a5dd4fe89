//! ② One slot per request in flight.
//!
//! Slots live in shards, so that threads do not fight over one free list; a thread keeps to its
//! shard. A shard grows by segments that double and never shrinks: it holds as many slots as were
//! in flight from it at once. 64 slots share their earliest due time, so that the watchdog need not
//! look at a million slots to find the one that is overdue.

mod extra;
mod facts_arena;
mod free_list;
mod handshake;
mod memory;
mod records;
mod slot;

pub(crate) use extra::{CHILDREN, Extra, Label};
pub(crate) use facts_arena::{
    ARENA_WORDS, Fact, FactsArena, Kind, Writer, facts_at, facts_in, kept, records_in,
};
pub(crate) use free_list::{FreeList, Link, Linked};
pub(crate) use handshake::{After, Handshake};
pub(crate) use memory::{Grown, WORTH_TELLING};
pub(crate) use records::{Claimed, Facts as RecordFacts, RecordUse, Records};
pub use slot::Place;
pub(crate) use slot::{Ending, Key, Life, Mail, PollMark, Slot, Stage};

use crate::metrics::Meter;
use crate::sync::{AtomicU64, Ordering};
use parking_lot::Mutex;
use redhanded_report::How;
use slot::ChunkDue;
use std::sync::OnceLock;

/// Slots that share one due time.
const CHUNK: usize = 64;
/// Segment `s` has `2^s` chunks: 16 segments are four million slots.
const SEGMENTS: usize = 16;

#[derive(Debug)]
struct Chunk {
    /// Earliest due time among the slots, in nanoseconds of the monotonic clock. May be too early,
    /// never too late. Outside of the chunk, so that every slot can have a reference to it.
    due_ns: &'static ChunkDue,
    slots: [Slot; CHUNK],
}

#[derive(Debug)]
struct Shard {
    free: FreeList,
    meter: &'static Meter,
    segments: [OnceLock<&'static [Chunk]>; SEGMENTS],
    /// Number of segments that exist; locked while one is added.
    grown: Mutex<usize>,
}

/// All slots of one engine.
#[derive(Debug)]
pub(crate) struct Registry {
    engine: u16,
    /// Leaked on purpose: a ticket may outlive everything else, and a plain reference costs it no
    /// shared counter. Their size is bounded by what was in flight at once.
    shards: &'static [Shard],
    /// Of the flight recorder, if there is one.
    records: Option<&'static Records>,
}

/// Segment and chunk of a slot's index.
#[inline]
fn place(index: u32) -> (usize, usize, usize) {
    let chunk = index as usize / CHUNK + 1;
    let segment = chunk.ilog2() as usize;
    (segment, chunk - (1 << segment), index as usize % CHUNK)
}

impl Shard {
    fn new(meter: &'static Meter) -> Self {
        Self {
            meter,
            free: FreeList::new(),
            segments: [const { OnceLock::new() }; SEGMENTS],
            grown: Mutex::new(0),
        }
    }

    #[inline]
    fn chunk(&self, index: u32) -> Option<&'static Chunk> {
        let (segment, chunk, _) = place(index);
        self.segments.get(segment)?.get()?.get(chunk)
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&'static Slot> {
        self.chunk(index)?.slots.get(index as usize % CHUNK)
    }

    #[inline]
    fn pop(&'static self) -> Option<&'static Slot> {
        self.free.pop(|i| self.slot(i))
    }

    /// Adds the next segment and returns one of its slots; `None` when the shard is full.
    #[cold]
    fn grow(
        &'static self,
        engine: u16,
        shard: u8,
        records: Option<&'static Records>,
    ) -> Option<&'static Slot> {
        let mut grown = self.grown.lock();
        if let Some(slot) = self.pop() {
            return Some(slot); // somebody else was faster
        }
        let cell = self.segments.get(*grown)?;
        let first = ((1usize << *grown) - 1) * CHUNK;
        let chunk = |c: usize| {
            let due_ns: &'static ChunkDue = Box::leak(Box::new(ChunkDue(AtomicU64::new(u64::MAX))));
            let key = |s| Key::new(engine, shard, (first + c * CHUNK + s) as u32);
            Chunk {
                due_ns,
                slots: std::array::from_fn(|s| {
                    Slot::new(key(s), &self.free, due_ns, records, self.meter)
                }),
            }
        };
        let chunks: &'static [Chunk] = Box::leak((0..1 << *grown).map(chunk).collect());
        cell.set(chunks).ok()?;
        *grown += 1;
        let mut slots = chunks.iter().flat_map(|c| &c.slots);
        let mine = slots.next();
        for slot in slots.rev() {
            self.free.push(slot.key.index(), &slot.link);
        }
        mine
    }

    fn chunks(&self) -> impl Iterator<Item = &'static Chunk> + '_ {
        self.segments
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|s| s.iter())
    }
}

impl Registry {
    /// A registry whose keys carry `engine`, with `shards` (rounded up to a power of two) free lists.
    /// Requests are counted by `meter`.
    pub(crate) fn new(
        engine: u16,
        shards: usize,
        records: Option<&'static Records>,
        meter: &'static Meter,
    ) -> Self {
        let shards = shards.clamp(1, 64).next_power_of_two();
        Self {
            engine,
            records,
            shards: Box::leak((0..shards).map(|_| Shard::new(meter)).collect()),
        }
    }

    /// The number that its keys carry.
    pub(crate) fn engine(&self) -> u16 {
        self.engine
    }

    /// A free slot, reset and not yet visible; `None` when four million are in flight from here.
    #[inline]
    pub(crate) fn take(
        &self,
        worker: u16,
        started_ns: u64,
        slow_after_ns: u64,
    ) -> Option<&'static Slot> {
        let number = worker as usize & (self.shards.len() - 1);
        let shard = self.shards.get(number)?;
        let slot = shard
            .pop()
            .or_else(|| shard.grow(self.engine, number as u8, self.records))?;
        slot.prepare(started_ns, slow_after_ns);
        Some(slot)
    }

    /// The slot of a key of this registry.
    pub(crate) fn slot(&self, key: Key) -> Option<&'static Slot> {
        if key.engine() != self.engine {
            return None;
        }
        self.shards.get(key.shard() as usize)?.slot(key.index())
    }

    /// Shows every live slot that is due at `now_ns`; `look` may rearm it. Returns the earliest due
    /// time that remains, `None` when nothing is in flight.
    pub(crate) fn due(&self, now_ns: u64, mut look: impl FnMut(&'static Slot)) -> Option<u64> {
        let mut earliest = u64::MAX;
        for chunk in self.shards.iter().flat_map(Shard::chunks) {
            let due = chunk.due_ns.0.load(Ordering::SeqCst);
            if due > now_ns {
                earliest = earliest.min(due);
                continue;
            }
            // Before the look: who opens from now on sees the high mark and lowers it himself.
            chunk.due_ns.0.swap(u64::MAX, Ordering::SeqCst);
            let mut least = u64::MAX;
            for slot in chunk.slots.iter().filter(|s| s.hand.looks_live()) {
                if slot.due_ns() <= now_ns {
                    look(slot);
                }
                least = least.min(slot.due_ns().max(now_ns + 1));
            }
            chunk.due_ns.0.fetch_min(least, Ordering::SeqCst);
            earliest = earliest.min(least);
        }
        (earliest != u64::MAX).then_some(earliest)
    }

    /// Whether any request is in flight; looks at every slot only if none is.
    pub(crate) fn any_live(&self) -> bool {
        self.slots().any(|s| s.hand.looks_live())
    }

    /// Every slot whose request is in flight.
    pub(crate) fn live(&self) -> impl Iterator<Item = &'static Slot> {
        self.slots().filter(|slot| slot.hand.looks_live())
    }

    fn slots(&self) -> impl Iterator<Item = &'static Slot> {
        let chunks = self.shards.iter().flat_map(Shard::chunks);
        chunks.flat_map(|c| &c.slots)
    }

    /// How many requests ended `how` so far, by looking at every slot.
    pub(crate) fn ended(&self, how: How) -> u64 {
        self.slots().map(|s| u64::from(s.ends(how))).sum()
    }

    /// Number of requests in flight, by looking at every slot.
    pub(crate) fn in_flight(&self) -> usize {
        let is_request = |s: &&Slot| s.hand.looks_live() && !s.is_child();
        self.slots().filter(is_request).count()
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_its_place() {
        let mut seen = std::collections::HashSet::new();
        for index in 0..64 * 1023 {
            let at = place(index);
            assert!(at.1 < 1 << at.0);
            assert!(seen.insert(at));
        }
    }

    #[test]
    fn slots_come_back_and_the_registry_does_not_grow() {
        let registry = Registry::new(0, 1, None, Box::leak(Box::default()));
        let mut keys = std::collections::HashSet::new();
        for round in 0..1000u64 {
            let taken: Vec<_> = (0..100)
                .map(|_| registry.take(0, round, 5).unwrap())
                .collect();
            taken.iter().for_each(|s| {
                s.open();
                keys.insert(s.key);
            });
            assert_eq!(registry.in_flight(), 100);
            for slot in taken {
                assert_eq!(slot.hand.close(), After::Recycle);
                slot.recycle();
            }
        }
        assert!(
            keys.len() <= 64 + 128,
            "{} slots for 100 in flight",
            keys.len()
        );
        assert_eq!(registry.in_flight(), 0);
    }

    #[test]
    fn only_what_is_due_is_shown() {
        let registry = Registry::new(0, 1, None, Box::leak(Box::default()));
        let slots: Vec<_> = (0..200u64)
            .map(|i| registry.take(0, i, 1000).unwrap())
            .collect();
        assert_eq!(registry.due(u64::MAX - 1, |_| panic!("not open yet")), None);
        slots.iter().for_each(|s| {
            s.open();
        });
        let mut shown = 0;
        let next = registry.due(1049, |s| {
            shown += 1;
            s.rearm(9_000);
        });
        assert_eq!((shown, next), (50, Some(1050)));
        let mut again = 0;
        registry.due(1049, |_| again += 1);
        assert_eq!(again, 0);
    }
}
