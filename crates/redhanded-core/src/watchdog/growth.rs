//! Requests that came to hold much memory, followed for a while: who grows is caught, overdue or not.
//!
//! Nobody is looked at for this who has not come to hold two megabytes: a request says so when it
//! leaves the poll in which it did, and one that does not leave it is seen standing.

use super::standing::ms;
use super::{OpenCase, Watchdog};
use crate::engine::Engine;
use crate::family;
use crate::memory::{balance, of_the_application};
use crate::registry::{After, Key, Slot, WORTH_TELLING};
use crate::verdict::{Growth, Memory, Observed, grows};
use crate::worker::Worker;
use redhanded_capture::alloc::{is_counting, unowned_bytes};
use std::collections::{HashMap, VecDeque};

/// Requests that are followed at once.
const FOLLOWED: usize = 256;
/// Readings that are kept of each.
const READINGS: usize = 24;
/// A window is twice as long as the threshold, or as this.
const LEAST_NS: u64 = 2_000_000_000;
/// Who has risen by less over a whole window does not grow.
const INTEREST: i64 = 1 << 20;
/// Slots of one request that have said how much they hold.
const TOLD: usize = 64;

/// All requests that are followed.
#[derive(Default)]
pub(super) struct Growths {
    followed: HashMap<Key, Followed>,
    /// Time that went by without us; it is in no reading.
    paused_ns: u64,
    /// Those that there was no room for.
    unfollowed: u64,
}

struct Followed {
    slot: &'static Slot,
    generation: u32,
    readings: VecDeque<Reading>,
    next_ns: u64,
    /// The request and its children, those of them that will not say it again.
    told: Vec<(Key, u32)>,
}

#[derive(Clone, Copy)]
struct Reading {
    at_ns: u64,
    held: i64,
    process: i64,
    unowned: i64,
}

impl Growths {
    /// Begins to follow who holds much since the last round.
    fn notice(&mut self, engine: &'static Engine) {
        for (key, generation) in engine.grown.take() {
            if let Some(slot) = family::slot_of(key, generation) {
                self.follow(slot);
            }
        }
        // A poll that does not return tells nothing.
        for worker in Worker::all() {
            let slot = worker.current_slot();
            let ours = slot.filter(|s| s.key.engine() == engine.registry.engine());
            if let Some(slot) = ours.filter(|s| s.memory.is_untold() && s.memory.has_grown()) {
                slot.memory.tell_from(u64::MAX);
                self.follow(slot);
            }
        }
    }

    /// Follows the request that `slot` belongs to.
    fn follow(&mut self, slot: &'static Slot) {
        let request = family::request_of(slot);
        let generation = request.hand.generation();
        let known = self.followed.get(&request.key);
        if known.is_none() && self.followed.len() >= FOLLOWED {
            self.unfollowed += 1;
            return tell_again(slot);
        }
        if known.is_some_and(|f| f.generation != generation) {
            self.forget(request.key);
        }
        let followed = self
            .followed
            .entry(request.key)
            .or_insert_with(|| Followed {
                slot: request,
                generation,
                readings: VecDeque::with_capacity(READINGS),
                next_ns: 0,
                told: Vec::new(),
            });
        if followed.told.len() < TOLD {
            followed.told.push((slot.key, slot.hand.generation()));
        }
    }

    /// Reads what is due, and forgets who is over or does not grow.
    fn read(&mut self, now_ns: u64) {
        let at_ns = now_ns.saturating_sub(self.paused_ns);
        let mut done = Vec::new();
        for (key, followed) in &mut self.followed {
            if !followed.is_there() || followed.rests() {
                done.push(*key);
            } else if at_ns >= followed.next_ns {
                followed.read(at_ns);
            }
        }
        done.into_iter().for_each(|key| self.forget(key));
    }

    /// Follows it no more; who holds twice as much by and by says so again.
    fn forget(&mut self, key: Key) {
        let Some(followed) = self.followed.remove(&key) else {
            return;
        };
        let told = followed.told.into_iter();
        told.filter_map(|(key, generation)| family::slot_of(key, generation))
            .for_each(tell_again);
    }

    /// Who grows, and what it holds.
    fn growing(&self) -> Vec<(&'static Slot, u64)> {
        let followed = self.followed.values();
        let growing = followed.filter_map(|f| {
            let memory = f.memory().filter(|memory| is_growth(memory, f.slot))?;
            Some((f.slot, memory.held_bytes))
        });
        growing.collect()
    }

    /// Whether the request that has `slot` grows.
    pub(super) fn has(&self, slot: &Slot) -> bool {
        let memory = self.of(slot).and_then(Followed::memory);
        memory.is_some_and(|memory| is_growth(&memory, slot))
    }

    fn of(&self, slot: &Slot) -> Option<&Followed> {
        let followed = self.followed.get(&slot.key)?;
        (followed.generation == slot.hand.generation()).then_some(followed)
    }

    /// Completes what was observed of `slot` by what it has allocated.
    pub(super) fn observe(&self, observed: &mut Observed, slot: &'static Slot) {
        if !is_counting() {
            return;
        }
        let growth = self.of(slot).and_then(Followed::growth);
        observed.memory = Some(memory_of(slot, growth));
        if self.unfollowed > 0 {
            observed.missing.push(format!(
                "{} times a request held much and was not followed, because {FOLLOWED} others were",
                self.unfollowed
            ));
        }
    }

    /// There was a pause of `lasted_ns`.
    pub(super) fn after_pause(&mut self, lasted_ns: u64) {
        self.paused_ns = self.paused_ns.saturating_add(lasted_ns);
    }
}

/// A slot that is followed no more says so when it holds twice as much.
fn tell_again(slot: &'static Slot) {
    let held = u64::try_from(slot.memory.held()).unwrap_or(0);
    slot.memory
        .tell_from(held.saturating_mul(2).max(WORTH_TELLING));
}

fn is_growth(memory: &Memory, slot: &Slot) -> bool {
    grows(memory, ms(slot.slow_after_ns()))
}

fn memory_of(slot: &'static Slot, growth: Option<Growth>) -> Memory {
    let balance = balance(slot);
    let bytes = |signed| u64::try_from(signed).unwrap_or(0);
    Memory {
        allocated_bytes: balance.allocated,
        held_bytes: bytes(balance.held),
        by_children_bytes: bytes(balance.by_children),
        growth,
    }
}

impl Followed {
    fn is_there(&self) -> bool {
        let hand = &self.slot.hand;
        hand.generation() == self.generation && hand.looks_live()
    }

    fn memory(&self) -> Option<Memory> {
        let growth = self.growth()?;
        self.is_there().then(|| memory_of(self.slot, Some(growth)))
    }

    fn growth(&self) -> Option<Growth> {
        growth(&self.readings)
    }

    /// Over a whole window nothing to speak of has come.
    fn rests(&self) -> bool {
        let rose = match (self.readings.front(), self.readings.back()) {
            (Some(first), Some(last)) => last.held.saturating_sub(first.held),
            _ => 0,
        };
        self.readings.len() == READINGS && rose < INTEREST
    }

    fn read(&mut self, at_ns: u64) {
        let window_ns = self.slot.slow_after_ns().max(LEAST_NS).saturating_mul(2);
        self.next_ns = at_ns.saturating_add(window_ns / READINGS as u64);
        if self.readings.len() == READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading {
            at_ns,
            held: balance(self.slot).held,
            process: of_the_application(),
            unowned: unowned_bytes(),
        });
    }
}

/// What a row of readings says; `None` before there are three.
fn growth(readings: &VecDeque<Reading>) -> Option<Growth> {
    let (first, last) = (readings.front()?, readings.back()?);
    let half = readings.get(readings.len() / 2)?;
    if readings.len() < 3 {
        return None;
    }
    let rise = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
    let since_ns = |reading: &Reading| last.at_ns.saturating_sub(reading.at_ns);
    let mut growth = Growth {
        window_ms: ms(since_ns(first)),
        readings: readings.len() as u32,
        rose_bytes: rise(first.held, last.held),
        rose_late_bytes: rise(half.held, last.held),
        process_rose_bytes: rise(first.process, last.process),
        unowned_fell_bytes: rise(last.unowned, first.unowned),
        still_ms: ms(since_ns(first)),
        ..Growth::default()
    };
    for (before, after) in readings.iter().zip(readings.iter().skip(1)) {
        let rose = rise(before.held, after.held);
        growth.fell_bytes = growth
            .fell_bytes
            .saturating_add(rise(after.held, before.held));
        growth.largest_rise_bytes = growth.largest_rise_bytes.max(rose);
        if rose > 0 {
            growth.rises += 1;
            growth.still_ms = ms(since_ns(after));
        }
    }
    Some(growth)
}

impl Watchdog {
    /// ③ Catches who grows without an end in sight, whatever its age, and looks again at who was
    /// caught for another reason.
    pub(super) fn watch_growth(&mut self, now_ns: u64) {
        if !is_counting() {
            return;
        }
        self.growths.notice(self.engine);
        self.growths.read(now_ns);
        for (slot, held_bytes) in self.growths.growing() {
            let is_its = |case: &&mut OpenCase| std::ptr::eq(case.slot, slot);
            match self.open.iter_mut().find(is_its) {
                Some(case) => case.hurry(held_bytes, now_ns),
                None => self.catch_growing(slot, now_ns),
            }
        }
    }

    fn catch_growing(&mut self, slot: &'static Slot, now_ns: u64) {
        let told_ns = slot.told_ns().unwrap_or(0);
        let moves = self.pauses.charged(told_ns, now_ns) < slot.slow_after_ns();
        // Caught and let go before, because its like had lines enough.
        let known = slot.due_ns() == u64::MAX;
        if moves || known || slot.hand.pin(None).is_none() {
            return;
        }
        let mut keep = false;
        if !slot.hand.is_kept() {
            slot.set_ended_ns(0);
            keep = self.catch(slot, now_ns);
            match self.open.last_mut().filter(|_| keep) {
                Some(case) => case.for_growth = true,
                None => self.growths.forget(slot.key),
            }
        }
        if slot.hand.unpin(keep) == After::Recycle {
            slot.recycle_seen();
        }
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: i64 = 1 << 20;

    fn readings(held: &[i64]) -> VecDeque<Reading> {
        let reading = |(i, held): (usize, &i64)| Reading {
            at_ns: i as u64 * 100_000_000,
            held: *held,
            process: *held + 100 * MIB,
            unowned: 7 * MIB - *held / 3,
        };
        held.iter().enumerate().map(reading).collect()
    }

    #[test]
    fn readings_are_summed_up() {
        let held = [0, 2, 2, 5, 4, 9, 9].map(|mib| mib * MIB);
        let found = growth(&readings(&held)).expect("enough readings");
        assert_eq!(
            found,
            Growth {
                window_ms: 600.0,
                readings: 7,
                rises: 3,
                rose_bytes: 9 << 20,
                rose_late_bytes: 4 << 20,
                largest_rise_bytes: 5 << 20,
                fell_bytes: 1 << 20,
                still_ms: 100.0,
                process_rose_bytes: 9 << 20,
                unowned_fell_bytes: 3 << 20,
            }
        );
        assert_eq!(growth(&readings(&held[..2])), None);
    }

    proptest! {
        #[test]
        fn no_readings_make_it_panic_or_grow_by_falling(held in proptest::collection::vec(any::<i64>(), 0..30)) {
            let Some(found) = growth(&readings_wrapping(&held)) else {
                return Ok(());
            };
            prop_assert!(found.rises < found.readings);
            let (first, last) = (held[0], held[held.len() - 1]);
            prop_assert!(last > first || found.rose_bytes == 0);
            let memory = Memory { growth: Some(found), held_bytes: u64::MAX, ..Memory::default() };
            prop_assert!(last > first || !grows(&memory, 0.0));
        }
    }

    fn readings_wrapping(held: &[i64]) -> VecDeque<Reading> {
        let reading = |(i, held): (usize, &i64)| Reading {
            at_ns: (i as u64).wrapping_mul(u64::MAX / 7),
            held: *held,
            process: held.wrapping_mul(3),
            unowned: held.wrapping_mul(5),
        };
        held.iter().enumerate().map(reading).collect()
    }
}
