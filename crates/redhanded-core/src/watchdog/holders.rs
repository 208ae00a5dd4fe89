//! Who has what a request waits for: the memory of the others' futures tells.
//!
//! A guard or a permit is a reference to its lock, and so is the future that waits for one. What the
//! waiter has at hand where it waits, and another request's future refers to as well, is held by that
//! other, unless it waits as well: then its waker lies beside the reference.

use crate::family;
use crate::registry::{Mail, Slot};
use crate::verdict::Referred;
use redhanded_capture::{LeafKind, Object, Reach, Sampler};

/// Requests whose memory is read for one look; each costs some 10 µs.
const MOST_READ: usize = 256;
/// How many of a leaf's own futures are looked into, innermost first.
const NEAR_FUTURES: usize = 4;
/// So far behind its beginning a leaf refers to what it waits for, in words.
const NEAR_WORDS: usize = 12;
/// A queued waiter's waker lies so near to its reference, in words.
const WAITER_WORDS: usize = 10;
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
    let Some(sought) = sought(slot, mail, sampler) else {
        return Referred::default();
    };
    let mut referred = Referred {
        unpolled: is_elsewhere_in_itself(slot, &sought),
        ..Referred::default()
    };
    find(slot, &sought.words, sampler, &mut referred);
    referred
}

/// Who refers to what a blocked thread has at hand where it sleeps, a request of its own left out.
pub(super) fn of_blocked(slot: &'static Slot, near: &[u64], sampler: &mut Sampler) -> Referred {
    let mut referred = Referred::default();
    find(slot, near, sampler, &mut referred);
    referred
}

/// What the leaves of this poll have at hand that lies outside of the request's own memory.
fn sought(slot: &'static Slot, mail: &Mail, sampler: &mut Sampler) -> Option<Sought> {
    let place = slot.future()?;
    let own = sampler.reach(place.address, place.size);
    let registered = |leaf: &&redhanded_capture::Leaf| leaf.kind == LeafKind::Registered;
    let mut words = Vec::new();
    let mut polled = Vec::new();
    for leaf in mail.waiting.leaves.iter().filter(registered) {
        let mut inner: Vec<(u64, &Object)> = Vec::new();
        for at in &leaf.words {
            if let Some(object) = own.object_at(*at) {
                polled.push(object.address);
                if inner.len() < NEAR_FUTURES && !inner.iter().any(|(known, _)| known == at) {
                    inner.push((*at, object));
                }
            }
        }
        for (at, object) in inner {
            let first = ((at - object.address) / 8) as usize;
            let near = object.words.iter().skip(first).take(NEAR_WORDS);
            words.extend(near.filter(|word| leaf.words.contains(word)));
        }
    }
    let waker = slot.kept_waker();
    words.retain(|word| !waker.contains(word) && own.object_at(*word).is_none_or(|o| !o.is_owned));
    words.sort_unstable();
    words.dedup();
    (!words.is_empty()).then_some(Sought { words, own, polled })
}

/// Whether a part of the request that this poll has not gone through refers to the same: it may have
/// been given what is waited for, and nobody polls it.
fn is_elsewhere_in_itself(slot: &Slot, sought: &Sought) -> bool {
    let unpolled = |object: &&Object| !sought.polled.contains(&object.address);
    let waker = slot.kept_waker()[0];
    let mut objects = sought.own.objects.iter().filter(unpolled);
    objects.any(|object| holds_any(object, &sought.words, waker))
}

fn find(slot: &'static Slot, words: &[u64], sampler: &mut Sampler, referred: &mut Referred) {
    let Some(engine) = crate::engine::Engine::of(slot.key) else {
        return;
    };
    let me = family::request_of(slot);
    let mut read = 0;
    for other in engine.registry.live() {
        let request = family::request_of(other);
        if std::ptr::eq(request, me) {
            continue;
        }
        let Some(place) = other.future() else {
            continue;
        };
        if read == MOST_READ {
            referred.cut = true;
            return;
        }
        read += 1;
        let generation = other.hand.generation();
        let reach = sampler.reach(place.address, place.size);
        let waker = other.kept_waker()[0];
        let owned = reach.objects.iter().filter(|object| object.is_owned);
        let holds = owned.clone().any(|object| holds_any(object, words, waker));
        // It may have ended meanwhile, and another have its memory.
        let is_same = other.hand.looks_live() && other.hand.generation() == generation;
        if holds && is_same && referred.by.len() < MOST_TOLD {
            referred.by.push(family::id_of(other));
        }
    }
}

/// Whether an object refers to one of `words` without waiting there.
fn holds_any(object: &Object, words: &[u64], waker: u64) -> bool {
    let waits_at = |at: usize| {
        let around = at.saturating_sub(WAITER_WORDS)..at + WAITER_WORDS;
        let around = around.filter_map(|i| object.words.get(i));
        waker != 0 && around.into_iter().any(|word| *word == waker)
    };
    let mut at = object.words.iter().enumerate();
    at.any(|(at, word)| words.binary_search(word).is_ok() && !waits_at(at))
}
