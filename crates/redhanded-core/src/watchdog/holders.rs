//! Who has what a request waits for: the memory of the others' futures tells.
//!
//! A guard or a permit is a reference to its lock, and so is the future that waits for one. What the
//! waiter has at hand where it waits, and another request's future refers to as well, is held by that
//! other, unless it waits as well: then its waker lies behind the reference.

use crate::engine::Engine;
use crate::family;
use crate::registry::{Mail, Slot};
use crate::verdict::Referred;
use redhanded_capture::{LeafKind, Object, RawStack, Reach, Sampler};
use std::collections::HashMap;

/// Requests whose memory is read for one look; each costs some 10 µs.
const MOST_READ: usize = 256;
/// How many of a leaf's own futures are looked into, innermost first.
const NEAR_FUTURES: usize = 4;
/// So far from its beginning a leaf refers to what it waits for, in words.
const NEAR_WORDS: usize = 12;
/// A queued waiter's waker begins so near behind its reference, in words.
const WAKER_WORDS: usize = 2;
/// The futures around it have the same reference before, one after the other with so many words between.
const GAP_WORDS: usize = 1;
/// No more refer to what one request shares with its parts.
const MANY: u64 = 1 << 16;
/// Locks of futures are aligned to this.
const ALIGNED: u64 = 8;
/// Holders that are told.
const MOST_TOLD: usize = 8;

/// A reference that a waiter has at hand.
struct Sought {
    words: Vec<u64>,
    /// The waiter's own memory.
    own: Reach,
    /// Objects of its own that this poll has gone through.
    polled: Vec<u64>,
}

/// Who refers to what the leaves of this poll wait with.
pub(super) fn of_pending(slot: &'static Slot, mail: &Mail, sampler: &mut Sampler) -> Referred {
    let Some(place) = slot.future() else {
        return Referred::default();
    };
    let own = sampler.reach(place.address, place.size);
    let empty_set = has_empty_set(&own, mail);
    let Some(mut sought) = sought(slot, mail, own) else {
        return Referred {
            empty_set,
            ..Referred::default()
        };
    };
    // Everybody else is read only for who waits with something that others may have.
    let (others, cut) = others(family::request_of(slot), sampler);
    let nearest = nearest(&sought.own, &others);
    keep_its_own(&mut sought.own, &nearest);
    let mut referred = Referred {
        empty_set,
        unpolled: is_elsewhere_in_itself(slot, &sought, false),
        itself: is_elsewhere_in_itself(slot, &sought, true),
        cut,
        ..Referred::default()
    };
    find(&others, &nearest, &sought.words, &mut referred);
    referred
}

/// Who refers to what a blocked thread has at hand where it sleeps, a request of its own left out.
pub(super) fn of_blocked(slot: &'static Slot, near: &[u64], sampler: &mut Sampler) -> Referred {
    let (others, cut) = others(family::request_of(slot), sampler);
    let mut referred = Referred {
        cut,
        ..Referred::default()
    };
    let place = slot.future();
    let own = place.map(|place| sampler.reach(place.address, place.size));
    let nearest = nearest(&own.unwrap_or_default(), &others);
    find(&others, &nearest, near, &mut referred);
    referred
}

/// What a pending request is made of: the functions that drop its futures, the outermost first.
pub(super) fn futures(slot: &Slot, sampler: &mut Sampler) -> RawStack {
    let Some(place) = slot.future() else {
        return RawStack::default();
    };
    let reach = sampler.reach(place.address, place.size);
    let owned = reach.objects.iter().filter(|object| object.is_owned);
    // As a return address would stand: behind the first byte.
    let ips: Vec<usize> = owned
        .filter_map(|object| usize::try_from(object.drop_glue? + 1).ok())
        .collect();
    sampler.locate(&ips)
}

/// What the leaves of this poll have at hand that lies outside of the request's own memory.
fn sought(slot: &'static Slot, mail: &Mail, own: Reach) -> Option<Sought> {
    let registered = |leaf: &&redhanded_capture::Leaf| leaf.kind == LeafKind::Registered;
    let mut words = Vec::new();
    let mut polled = Vec::new();
    for leaf in mail.waiting.leaves.iter().filter(registered) {
        let mut inner: Vec<(u64, &Object)> = Vec::new();
        for at in &leaf.words {
            if let Some(object) = own.object_at(*at).filter(|object| object.is_owned) {
                polled.push(object.address);
                if inner.len() < NEAR_FUTURES && !inner.iter().any(|(known, _)| known == at) {
                    inner.push((*at, object));
                }
            }
        }
        for (at, object) in inner {
            let first = ((at - object.address) / 8) as usize;
            let around = object.words.iter().skip(first.saturating_sub(NEAR_WORDS));
            let near = around.take(2 * NEAR_WORDS);
            words.extend(near.filter(|word| leaf.words.contains(word)));
        }
    }
    let waker = slot.kept_waker();
    // Numbers of permits are no references, and its own parts are nobody else's.
    let is_of_others = |word: u64| own.object_at(word).is_none_or(|object| !object.is_owned);
    words.retain(|word: &u64| {
        word.is_multiple_of(ALIGNED) && !waker.contains(word) && is_of_others(*word)
    });
    words.sort_unstable();
    words.dedup();
    (!words.is_empty()).then_some(Sought { words, own, polled })
}

/// Whether another part of the request refers to the same: one that this poll has gone through, or one that it has not.
/// The latter may have been given what is waited for, and nobody polls it.
fn is_elsewhere_in_itself(slot: &Slot, sought: &Sought, polled: bool) -> bool {
    let is_it = |object: &&Object| sought.polled.contains(&object.address) == polled;
    let waker = slot.kept_waker();
    let mut objects = sought.own.objects.iter().filter(is_it);
    objects.any(|object| holds_any(object, &sought.words, waker))
}

/// Whether a leaf has at hand what may be a set of futures without any: a shared queue, and no first task. Whether it
/// is one, names must tell.
fn has_empty_set(own: &Reach, mail: &Mail) -> bool {
    let words = mail.waiting.leaves.iter().flat_map(|leaf| &leaf.words);
    let mut parts = words.filter_map(|at| {
        let object = own.object_at(*at).filter(|object| object.is_owned)?;
        let first = ((at - object.address) / 8) as usize;
        object.words.get(first..first + 2)
    });
    let is_shared = |at: u64| {
        let counts = own
            .object_at(at)
            .filter(|object| !object.is_owned && object.address == at);
        counts.is_some_and(|object| object.words.iter().take(2).all(|n| (1..MANY).contains(n)))
    };
    parts.any(|part| part[1] == 0 && is_shared(part[0]))
}

/// The memory of one request in flight, as it was read.
struct Reached {
    slot: &'static Slot,
    generation: u32,
    reach: Reach,
}

/// Everybody's memory but that of `me`; says whether there was more.
fn others(me: &'static Slot, sampler: &mut Sampler) -> (Vec<Reached>, bool) {
    let mut all = Vec::new();
    let live = Engine::of(me.key)
        .into_iter()
        .flat_map(|engine| engine.registry.live());
    for slot in live.filter(|other| !std::ptr::eq(family::request_of(other), me)) {
        let Some(place) = slot.future() else {
            continue;
        };
        if all.len() == MOST_READ {
            return (all, true);
        }
        let generation = slot.hand.generation();
        let reach = sampler.reach(place.address, place.size);
        all.push(Reached {
            slot,
            generation,
            reach,
        });
    }
    (all, false)
}

/// By an object's address: how early it is reached at best.
type Nearest = HashMap<u64, usize>;

/// How early each object is reached at best, from the waiter's `own` future or any other. Words that a future has left
/// over may lead to what is another's by now; the owner comes to it sooner.
fn nearest(own: &Reach, others: &[Reached]) -> Nearest {
    nearest_of(others.iter().map(|other| &other.reach).chain([own]))
}

fn nearest_of<'a>(all: impl Iterator<Item = &'a Reach>) -> Nearest {
    let mut nearest = Nearest::new();
    for (position, object) in all.flat_map(|reach| reach.objects.iter().enumerate()) {
        let known = nearest.entry(object.address).or_insert(position);
        *known = position.min(*known);
    }
    nearest
}

/// What nobody comes to sooner than whose memory this is.
fn its_own<'a>(reach: &'a Reach, nearest: &Nearest) -> impl Iterator<Item = &'a Object> {
    let objects = reach.objects.iter().enumerate();
    let is_its_own = |at: usize, object: &Object| nearest.get(&object.address) == Some(&at);
    objects
        .filter(move |(at, object)| is_its_own(*at, object))
        .map(|(_, object)| object)
}

/// Leaves out of a request's memory what others come to sooner.
fn keep_its_own(own: &mut Reach, nearest: &Nearest) {
    own.objects = its_own(own, nearest).cloned().collect();
}

/// Who of `others` holds one of `words` in memory of its own, or waits there.
fn find(others: &[Reached], nearest: &Nearest, words: &[u64], referred: &mut Referred) {
    for Reached {
        slot: other,
        generation,
        reach,
    } in others
    {
        let waker = other.kept_waker();
        let owned: Vec<&Object> = its_own(reach, nearest)
            .filter(|object| object.is_owned)
            .collect();
        let holds = owned.iter().any(|object| holds_any(object, words, waker));
        let waits = owned.iter().any(|object| waits_any(object, words, waker));
        // It may have ended meanwhile, and another have its memory.
        let is_same = other.hand.looks_live() && other.hand.generation() == *generation;
        referred.queue += u32::from(waits && is_same);
        if holds && is_same && referred.by.len() < MOST_TOLD {
            referred.by.push(family::id_of(other));
        }
    }
}

/// Whether an object refers to one of `words` without waiting there.
fn holds_any(object: &Object, words: &[u64], waker: [u64; 2]) -> bool {
    (0..object.words.len())
        .any(|at| is_one_of(object, at, words) && !waits_at(object, at, words, waker))
}

/// Whether an object has a queued waiter for one of `words`.
fn waits_any(object: &Object, words: &[u64], waker: [u64; 2]) -> bool {
    (0..object.words.len()).any(|at| is_one_of(object, at, words) && is_queued(object, at, waker))
}

fn is_one_of(object: &Object, at: usize, words: &[u64]) -> bool {
    object
        .words
        .get(at)
        .is_some_and(|word| words.binary_search(word).is_ok())
}

/// Whether the reference at `at` is that of a queued waiter, or of a future around one.
fn waits_at(object: &Object, mut at: usize, words: &[u64], waker: [u64; 2]) -> bool {
    while !is_queued(object, at, waker) {
        let mut near = at + 1..=at + 1 + GAP_WORDS;
        match near.find(|next| is_one_of(object, *next, words)) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// Whether the reference at `at` is that of a queued waiter: its waker, data and vtable, follows.
fn is_queued(object: &Object, at: usize, waker: [u64; 2]) -> bool {
    let is_waker = |pair: &[u64]| pair == waker || (pair[0], pair[1]) == (waker[1], waker[0]);
    let until = (at + 2 + WAKER_WORDS).min(object.words.len());
    let behind = object.words.get(at + 1..until);
    behind.is_some_and(|words| words.windows(2).any(is_waker))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    const LOCK: u64 = 0x7f00_0000_1000;
    const WAKER: [u64; 2] = [0x7f00_0000_2000, 0x5500_0000_3000];

    fn holds(words: &[u64]) -> bool {
        let mut object = Object::default();
        object.words = words.to_vec();
        holds_any(&object, &[LOCK], WAKER)
    }

    #[test]
    fn a_reference_with_a_waker_behind_it_waits() {
        assert!(!holds(&[1, LOCK, WAKER[1], WAKER[0], 0, 0]));
        assert!(
            !holds(&[LOCK, LOCK, LOCK, 7, WAKER[0], WAKER[1]]),
            "and so do the futures around it"
        );
        assert!(!holds(&[1, 2, 3]));
    }

    #[test]
    fn what_another_comes_to_sooner_is_not_its_own() {
        let reach = |addresses: &[u64]| {
            let mut reach = Reach::default();
            for address in addresses {
                let mut object = Object::default();
                object.address = *address;
                reach.objects.push(object);
            }
            reach
        };
        let (mut own, other) = (reach(&[1, 7, 3]), reach(&[3, 2]));
        let nearest = nearest_of([&own, &other].into_iter());
        keep_its_own(&mut own, &nearest);
        let kept: Vec<u64> = own.objects.iter().map(|object| object.address).collect();
        assert_eq!(kept, [1, 7], "3 is another's: it is its first");
    }

    #[test]
    fn one_without_holds_whatever_else_is_waited_for() {
        assert!(holds(&[LOCK, 0, 0]));
        assert!(
            holds(&[LOCK, 1, 2, 3, 4, 5, WAKER[1], WAKER[0]]),
            "a timer beside a guard"
        );
        assert!(
            holds(&[LOCK, 1, 2, 3, 4, 5, LOCK, WAKER[1], WAKER[0]]),
            "a second lock of it"
        );
    }
}
