//! A bounded number of normal requests per route, each as likely to be among them as any other.

use super::Noise;
use super::desk::Left;
use crate::copied::kind;
use crate::registry::{Fact, Label, facts_in, records_in};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};

/// Routes that have samples; requests of others are counted.
const ROUTES: usize = 256;
/// Samples of a route.
const SAMPLES: usize = 256;
/// Bytes of all samples together; beyond, the route that has the most gives some up.
const BYTES: usize = 8 << 20;
/// Without its facts and labels, a sample takes about that much.
const SAMPLE_BYTES: usize = 96;

/// What a normal request had in its slot; not redacted.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// No two have the same.
    pub(crate) number: u64,
    words: Vec<u64>,
    pub(crate) labels: Vec<Label>,
}

impl Sample {
    pub(crate) fn facts(&self) -> Vec<Fact> {
        facts_in(&self.words)
    }

    /// The same sample, for one who may take the time to look into it.
    pub(crate) fn copied(&self) -> Self {
        Self {
            number: self.number,
            words: self.words.clone(),
            labels: self.labels.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let label = |l: &Label| size_of::<Label>() + l.key.capacity() + l.value.capacity();
        let labels: usize = self.labels.iter().map(label).sum();
        SAMPLE_BYTES + self.words.capacity() * size_of::<u64>() + labels
    }
}

#[derive(Debug)]
struct Route {
    /// Normal requests so far, those among them that were not looked at.
    seen: u64,
    room: usize,
    bytes: usize,
    samples: Vec<Sample>,
}

impl Route {
    /// Algorithm R, where each of those offered stands for several: the place that it takes, a new
    /// one at the end, or none.
    fn place(&mut self, stands_for: u32, noise: &Noise) -> Option<usize> {
        self.seen = self.seen.saturating_add(u64::from(stands_for));
        if self.samples.len() < self.room {
            return Some(self.samples.len());
        }
        let chosen = noise.below(self.seen) < u64::from(stands_for) * self.room as u64;
        (chosen && self.room > 0).then(|| noise.below(self.room as u64) as usize)
    }

    /// Returns the bytes of the sample that was there.
    fn put(&mut self, at: usize, sample: Sample) -> usize {
        match self.samples.get_mut(at) {
            Some(old) => std::mem::replace(old, sample).bytes(),
            None => {
                self.samples.push(sample);
                0
            }
        }
    }
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is where its like are, or chance has left it out.
    Kept,
    /// There are too many routes.
    NoRoom,
}

/// All samples.
#[derive(Debug, Default)]
pub(super) struct Kept {
    routes: HashMap<u64, Route>,
    bytes: usize,
    number: u64,
}

impl Kept {
    /// A normal request that stands for so many; its labels are taken, its words copied.
    pub(super) fn offer(&mut self, left: &mut Left, stands_for: u32, noise: &Noise) -> Outcome {
        let words = &left.words;
        let key = route_in(words);
        let full = self.routes.len() >= ROUTES;
        let route = match self.routes.entry(key) {
            Entry::Vacant(_) if full => return Outcome::NoRoom,
            Entry::Vacant(new) => new.insert(Route {
                seen: 0,
                room: SAMPLES,
                bytes: 0,
                samples: Vec::new(),
            }),
            Entry::Occupied(known) => known.into_mut(),
        };
        if let Some(at) = route.place(stands_for, noise) {
            self.number += 1;
            let sample = Sample {
                number: self.number,
                words: words.clone(),
                labels: std::mem::take(&mut left.labels),
            };
            let more = sample.bytes();
            let gone = route.put(at, sample);
            route.bytes = (route.bytes + more).saturating_sub(gone);
            self.bytes = (self.bytes + more).saturating_sub(gone);
            self.make_room(noise);
        }
        Outcome::Kept
    }

    /// A sample from which others are taken at random is a smaller sample.
    fn make_room(&mut self, noise: &Noise) {
        while self.bytes > BYTES {
            let largest = self.routes.values_mut().max_by_key(|route| route.bytes);
            let Some(route) = largest.filter(|route| !route.samples.is_empty()) else {
                return;
            };
            let at = noise.below(route.samples.len() as u64) as usize;
            let gone = route.samples.swap_remove(at).bytes();
            route.room = route.samples.len();
            route.bytes = route.bytes.saturating_sub(gone);
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }

    pub(super) fn of_route(&self, route: u64) -> &[Sample] {
        self.routes
            .get(&route)
            .map_or(&[], |route| route.samples.as_slice())
    }

    /// Routes, and samples of all of them.
    pub(super) fn counts(&self) -> (u64, u64) {
        let samples: usize = self.routes.values().map(|r| r.samples.len()).sum();
        (self.routes.len() as u64, samples as u64)
    }
}

/// By what samples are told apart: the route of a request or the name of a job. All requests
/// without a route are one.
pub(crate) fn route_of(facts: &[Fact]) -> u64 {
    let named = |wanted| facts.iter().find(|fact| fact.kind == wanted);
    named(kind::ROUTE).or(named(kind::JOB)).map_or(0, |fact| {
        let words = fact.bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word.iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        });
        key(fact.kind, fact.bytes.len(), words)
    })
}

/// The same, of a request's route as it is written.
#[cfg(all(test, not(redhanded_loom)))]
pub(crate) fn route_named(route: &str) -> u64 {
    route_of(&[Fact {
        kind: kind::ROUTE,
        bytes: route.as_bytes().to_vec(),
        total: route.len() as u32,
    }])
}

/// The same, of words as a slot has them.
fn route_in(words: &[u64]) -> u64 {
    let named = |wanted| records_in(words).find(|(head, _)| *head as u8 == wanted);
    named(kind::ROUTE)
        .or(named(kind::JOB))
        .map_or(0, |(head, body)| {
            let bytes = (head >> 8 & 0xff_ffff) as usize;
            key(head as u8, bytes, body.iter().copied())
        })
}

fn key(kind: u8, bytes: usize, words: impl Iterator<Item = u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(kind);
    hasher.write_usize(bytes);
    words.for_each(|word| hasher.write_u64(word));
    hasher.finish()
}

#[cfg(all(test, not(redhanded_loom)))]
impl Kept {
    /// The bytes of all samples, counted anew.
    pub(super) fn bytes(&self) -> usize {
        let each = self.routes.values().flat_map(|r| &r.samples);
        assert_eq!(self.bytes, each.map(Sample::bytes).sum::<usize>());
        self.bytes
    }
}
