//! Trouble that lasts is told once: when it has begun for certain, and again only after it was over.

use std::collections::HashMap;
use std::hash::Hash;

/// Conditions that hold, each from when it was first seen until it is seen to be gone.
///
/// A round may take a millisecond or a hundred, so a condition must hold over some rounds and over
/// some time before it is believed.
#[derive(Debug)]
pub(super) struct Episodes<K> {
    rounds: u32,
    least_ns: u64,
    holding: HashMap<K, Holding>,
}

#[derive(Debug)]
struct Holding {
    since_ns: u64,
    rounds: u32,
    told: bool,
}

/// An episode has begun, and this is the moment to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Began {
    /// When the condition was first seen to hold.
    pub(super) since_ns: u64,
}

impl<K: Eq + Hash> Episodes<K> {
    /// Episodes that begin when their condition holds in `rounds` rounds on end, and for `least_ns`.
    pub(super) fn new(rounds: u32, least_ns: u64) -> Self {
        Self {
            rounds,
            least_ns,
            holding: HashMap::new(),
        }
    }

    /// Whether the condition `kind` holds in this round; says so once when an episode has begun.
    ///
    /// Remembers only what holds, so it needs no more room than there are kinds at once; a kind
    /// that is not noted any more should be noted as gone first.
    pub(super) fn note(&mut self, kind: K, holds: bool, now_ns: u64) -> Option<Began> {
        if !holds {
            self.holding.remove(&kind);
            return None;
        }
        let holding = self.holding.entry(kind).or_insert(Holding {
            since_ns: now_ns,
            rounds: 0,
            told: false,
        });
        holding.rounds = holding.rounds.saturating_add(1);
        let held_ns = now_ns.saturating_sub(holding.since_ns);
        let begins = !holding.told && holding.rounds >= self.rounds && held_ns >= self.least_ns;
        holding.told |= begins;
        begins.then_some(Began {
            since_ns: holding.since_ns,
        })
    }

    /// After a pause: what has not begun yet has to be seen anew. An episode that was told goes on.
    pub(super) fn start_over(&mut self) {
        self.holding.retain(|_, holding| holding.told);
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Notes one condition at every 10 ns; returns when it was told, and since when it held.
    fn told(rounds: u32, least_ns: u64, holds: &str) -> Vec<(u64, u64)> {
        let mut episodes = Episodes::new(rounds, least_ns);
        let note = |(i, c): (usize, char)| {
            let now_ns = i as u64 * 10;
            let began = episodes.note("accept", c == 'x', now_ns)?;
            Some((now_ns, began.since_ns))
        };
        holds.chars().enumerate().filter_map(note).collect()
    }

    #[test]
    fn it_is_told_once_however_long_it_lasts() {
        assert_eq!(told(3, 0, "..xxxxxxxxxxx"), [(40, 20)]);
    }

    #[test]
    fn what_comes_and_goes_is_no_episode() {
        assert_eq!(told(3, 0, "xx.xx.x.xx."), []);
    }

    #[test]
    fn after_its_end_the_next_one_is_told_again() {
        assert_eq!(told(2, 0, "xxxx.xxxx"), [(10, 0), (60, 50)]);
    }

    #[test]
    fn quick_rounds_alone_are_not_enough() {
        assert_eq!(told(2, 50, "xxxxxxxxx"), [(50, 0)]);
    }

    #[test]
    fn kinds_do_not_mix_and_what_is_gone_takes_no_room() {
        let mut episodes = Episodes::new(2, 0);
        assert_eq!(episodes.note(1, true, 0), None);
        assert_eq!(episodes.note(2, true, 0), None);
        assert_eq!(episodes.note(1, true, 5), Some(Began { since_ns: 0 }));
        assert_eq!(episodes.note(2, false, 5), None);
        assert_eq!(episodes.note(1, false, 6), None);
        assert!(episodes.holding.is_empty());
    }

    #[test]
    fn a_pause_is_no_proof_and_no_end() {
        let mut episodes = Episodes::new(2, 100);
        episodes.note("old", true, 0);
        assert!(episodes.note("old", true, 100).is_some());
        episodes.note("new", true, 100);
        episodes.start_over();
        assert_eq!(episodes.note("new", true, 900), None, "nobody was looking");
        assert_eq!(episodes.note("old", true, 900), None, "told already");
        assert_eq!(
            episodes.note("new", true, 1_000),
            Some(Began { since_ns: 900 })
        );
    }

    proptest! {
        #[test]
        fn no_more_episodes_than_beginnings(rounds in 0_u32..5, holds in "[x.]{0,40}") {
            let beginnings = holds.split('.').filter(|run| !run.is_empty());
            let long = beginnings.filter(|run| run.len() >= rounds as usize).count();
            prop_assert_eq!(told(rounds, 0, &holds).len(), long);
        }
    }
}
