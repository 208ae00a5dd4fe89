//! Which lines speak of one request: a bounded memory of the newest ids.

use super::group::Role;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Ids that are remembered: so many that have not ended, and so many that have.
pub(super) const REMEMBERED: usize = 1 << 16;

/// What is known of a request so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Its group's index.
    pub(super) group: u32,
    pub(super) role: Option<Role>,
    /// What is counted of its time.
    pub(super) counted_ms: f64,
    pub(super) ended: bool,
}

/// The newest requests.
///
/// An id is remembered as 64 bits of a keyed hash: two of 131,072 are the same once in two
/// billion logs, and would cost one request's time.
#[derive(Debug)]
pub(super) struct Looks {
    hasher: RandomState,
    known: HashMap<u64, (Look, u64)>,
    /// Those that have not ended, by when they were first seen.
    open: BTreeMap<u64, u64>,
    ended: VecDeque<u64>,
    seen: u64,
    limit: usize,
}

impl Looks {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            known: HashMap::new(),
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            seen: 0,
            limit,
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Look> {
        let key = self.hasher.hash_one(id);
        self.known.get(&key).map(|(look, _)| *look)
    }

    /// Remembers what is known of `id` now, and forgets the oldest if need be.
    pub(super) fn set(&mut self, id: &str, look: Look) {
        let key = self.hasher.hash_one(id);
        let before = self.known.get(&key).map(|(look, seen)| (look.ended, *seen));
        let seen = before.map_or(self.seen, |(_, seen)| seen);
        self.seen += 1;
        self.known.insert(key, (look, seen));
        match (before.map(|(ended, _)| ended), look.ended) {
            (None, false) => {
                self.open.insert(seen, key);
            }
            (None | Some(false), true) => {
                self.open.remove(&seen);
                self.ended.push_back(key);
            }
            (Some(_), _) => {}
        }
        self.forget();
    }

    fn forget(&mut self) {
        if self.open.len() > self.limit
            && let Some((_, oldest)) = self.open.pop_first()
        {
            self.known.remove(&oldest);
        }
        if self.ended.len() > self.limit
            && let Some(oldest) = self.ended.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len().max(self.open.len() + self.ended.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Looks};

    const OPEN: Look = Look {
        group: 0,
        role: None,
        counted_ms: 1.0,
        ended: false,
    };
    const ENDED: Look = Look {
        ended: true,
        ..OPEN
    };

    #[test]
    fn the_newest_are_remembered() {
        let mut looks = Looks::new(3);
        looks.set("hangs", OPEN);
        for number in 0..100 {
            looks.set(&number.to_string(), OPEN);
            looks.set(&number.to_string(), ENDED);
        }
        assert!(
            looks.get("hangs").is_some_and(|look| !look.ended),
            "those that ended do not push it out"
        );
        assert!(looks.get("99").is_some_and(|look| look.ended));
        assert!(looks.get("96").is_none());
        assert_eq!(looks.len(), 4);
        (0..100).for_each(|number| looks.set(&format!("open {number}"), OPEN));
        assert!(looks.get("hangs").is_none());
        assert_eq!(looks.len(), 6);
    }
}
