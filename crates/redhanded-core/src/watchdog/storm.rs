//! A dead database makes every request overdue at once: evidence for the first few, counts for all.

use crate::copied::kind;
use crate::registry::FactsArena;
use crate::sync::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// Requests that are looked at per second, over all routes and on one.
const LOOKS_A_SECOND: u32 = 50;
const LOOKS_A_SECOND_ON_A_ROUTE: u32 = 8;
/// Lines of one fingerprint per minute.
const LINES_A_MINUTE: u32 = 5;
/// Fingerprints and routes that are remembered; beyond that those are forgotten that were seen least, and of
/// these those that were not seen for longest.
const REMEMBERED: usize = 4096;
const SECOND_NS: u64 = 1_000_000_000;

/// Counts and limits by fingerprint and by route.
#[derive(Debug, Default)]
pub(super) struct Storm {
    second: u64,
    looks: u32,
    routes: HashMap<u64, Route>,
    fingerprints: HashMap<u64, Fingerprint>,
    evicted: u64,
}

#[derive(Debug, Default)]
struct Route {
    looks: u32,
    /// What the last look on this route found.
    fingerprint: Option<u64>,
    /// Requests that were counted before any look had found something.
    unbooked: u64,
    seen_ns: u64,
}

#[derive(Debug, Default)]
struct Fingerprint {
    occurrences: u64,
    minute: u64,
    lines: u32,
    seen_ns: u64,
}

/// What to do with a look whose fingerprint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Booked {
    /// How often this fingerprint was seen.
    pub(super) occurrences: u64,
    /// It may have a line of its own.
    pub(super) line: bool,
}

impl Route {
    /// Counts a request that is not looked at.
    fn pass(&mut self, fingerprints: &mut HashMap<u64, Fingerprint>, now_ns: u64) {
        match self.fingerprint.and_then(|f| fingerprints.get_mut(&f)) {
            Some(fingerprint) => {
                fingerprint.occurrences += 1;
                fingerprint.seen_ns = now_ns;
            }
            None => self.unbooked += 1,
        }
    }
}

impl Storm {
    /// Whether a request on `route` that has become overdue may be looked at. If not, it is counted
    /// for what the last look on its route found.
    pub(super) fn may_look(&mut self, route: u64, now_ns: u64) -> bool {
        let second = now_ns / SECOND_NS;
        if second != self.second {
            self.second = second;
            self.looks = 0;
            self.routes.values_mut().for_each(|r| r.looks = 0);
        }
        trim(&mut self.routes, |r| {
            (u64::from(r.looks) + r.unbooked, r.seen_ns)
        });
        let entry = self.routes.entry(route).or_default();
        entry.seen_ns = now_ns;
        if self.looks < LOOKS_A_SECOND && entry.looks < LOOKS_A_SECOND_ON_A_ROUTE {
            self.looks += 1;
            entry.looks += 1;
            return true;
        }
        entry.pass(&mut self.fingerprints, now_ns);
        false
    }

    /// Counts a request on `route` that is not looked at for what the last look there found.
    pub(super) fn pass(&mut self, route: u64, now_ns: u64) {
        let entry = self.routes.entry(route).or_default();
        entry.pass(&mut self.fingerprints, now_ns);
    }

    /// Books a look on `route` that found `fingerprint`.
    pub(super) fn book(&mut self, route: u64, fingerprint: u64, now_ns: u64) -> Booked {
        let entry = self.routes.entry(route).or_default();
        entry.fingerprint = Some(fingerprint);
        let unbooked = std::mem::take(&mut entry.unbooked);
        self.count(fingerprint, 1 + unbooked, now_ns)
    }

    /// Books something that is no request's.
    pub(super) fn book_one(&mut self, fingerprint: u64, now_ns: u64) -> Booked {
        self.count(fingerprint, 1, now_ns)
    }

    fn count(&mut self, fingerprint: u64, times: u64, now_ns: u64) -> Booked {
        self.evicted += trim(&mut self.fingerprints, |f| (f.occurrences, f.seen_ns));
        let known = self.fingerprints.entry(fingerprint).or_default();
        known.seen_ns = now_ns;
        known.occurrences += times;
        let minute = now_ns / (60 * SECOND_NS);
        if known.minute != minute {
            (known.minute, known.lines) = (minute, 0);
        }
        let line = known.lines < LINES_A_MINUTE;
        known.lines += u32::from(line);
        Booked {
            occurrences: known.occurrences,
            line,
        }
    }

    /// How often `fingerprint` was seen.
    pub(super) fn occurrences(&self, fingerprint: u64) -> u64 {
        self.fingerprints
            .get(&fingerprint)
            .map_or(0, |f| f.occurrences)
    }

    /// How many fingerprints were forgotten since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

/// What a request is counted by before anything is known of it: its route, else its path. Copies nothing: in a storm
/// it is all that is read of most.
pub(super) fn route_of(facts: &FactsArena) -> u64 {
    let (mut route, mut target) = (None, None);
    facts.each(|head, words| match head as u8 {
        kind::ROUTE => route = route.or(Some((head, words))),
        kind::TARGET => target = target.or(Some((head, words))),
        _ => {}
    });
    let mut hasher = DefaultHasher::new();
    let (head, words) = route.or(target).unwrap_or_default();
    let mut left = (head >> 8 & 0xff_ffff) as usize;
    for word in words {
        let bytes = word.load(Ordering::Relaxed).to_le_bytes();
        let bytes = bytes.get(..left).unwrap_or(&bytes);
        left -= bytes.len();
        let path = bytes.split(|b| *b == b'?').next().unwrap_or_default();
        hasher.write(path);
        if path.len() < bytes.len() {
            break;
        }
    }
    hasher.finish()
}

/// Keeps a map bounded: the less valuable half goes when it is full. Returns how many that were.
fn trim<V>(map: &mut HashMap<u64, V>, value: impl Fn(&V) -> (u64, u64)) -> u64 {
    if map.len() < REMEMBERED {
        return 0;
    }
    let mut ranked: Vec<((u64, u64), u64)> = map.iter().map(|(key, v)| (value(v), *key)).collect();
    let half = ranked.len() / 2;
    ranked.select_nth_unstable(half);
    ranked.truncate(half);
    for (_, key) in &ranked {
        map.remove(key);
    }
    ranked.len() as u64
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_counted_and_few_have_lines() {
        let mut storm = Storm::default();
        let (mut looks, mut lines) = (0, 0);
        for _ in 0..10_000 {
            if storm.may_look(1, SECOND_NS) {
                looks += 1;
                lines += u32::from(storm.book(1, 77, SECOND_NS).line);
            }
        }
        assert_eq!((looks, lines), (LOOKS_A_SECOND_ON_A_ROUTE, LINES_A_MINUTE));
        assert_eq!(storm.occurrences(77), 10_000);
        assert!(storm.may_look(1, 2 * SECOND_NS));
        assert!(!storm.book(1, 77, 2 * SECOND_NS).line, "same minute");
        assert!(storm.book(1, 77, 61 * SECOND_NS).line, "next minute");
        assert_eq!(storm.occurrences(77), 10_002);
    }

    #[test]
    fn a_request_is_counted_by_its_route_and_without_one_by_its_path() {
        let of = |records: &[(u8, &str)]| {
            let arena = FactsArena::new();
            let mut facts = arena.rewrite();
            for (kind, text) in records {
                facts.put(*kind, text.as_bytes(), 512);
            }
            facts.done();
            route_of(&arena)
        };
        let target = |text| of(&[(kind::METHOD, "GET"), (kind::TARGET, text)]);
        assert_eq!(target("/notices/17?page=2"), target("/notices/17?page=3"));
        assert_eq!(target("/notices/17?page=2"), target("/notices/17"));
        assert_ne!(target("/notices/17"), target("/notices/18"));
        assert_ne!(target("/notices/a"), target("/notices/ab"));
        let routed = |text| of(&[(kind::TARGET, text), (kind::ROUTE, "/notices/{id}")]);
        assert_eq!(routed("/notices/17"), routed("/notices/18"));
        assert_ne!(routed("/notices/17"), target("/notices/17"));
        assert_eq!(of(&[]), of(&[(kind::METHOD, "GET")]));
    }

    #[test]
    fn one_route_does_not_take_all_looks() {
        let mut storm = Storm::default();
        (0..1_000).for_each(|_| {
            storm.may_look(1, 0);
        });
        assert!(storm.may_look(2, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut storm = Storm::default();
        for i in 0..100_000 {
            storm.may_look(i, i * SECOND_NS);
            storm.book(i, i, i * SECOND_NS);
        }
        assert!(storm.routes.len() <= REMEMBERED && storm.fingerprints.len() <= REMEMBERED);
    }

    #[test]
    fn who_is_passed_by_is_counted_where_the_last_look_found_something() {
        let mut storm = Storm::default();
        (0..3).for_each(|_| storm.pass(1, 0));
        assert_eq!(storm.book(1, 77, 0).occurrences, 4, "those before it too");
        storm.pass(1, 0);
        assert_eq!(storm.occurrences(77), 5);
    }

    #[test]
    fn of_ten_thousand_fingerprints_the_frequent_and_the_recent_are_kept_and_the_rest_is_counted() {
        let mut storm = Storm::default();
        for _ in 0..3 {
            (0..100).for_each(|frequent| {
                storm.book_one(frequent, 0);
            });
        }
        for once in 0..10_000 {
            storm.book_one(1_000_000 + once, once * SECOND_NS);
        }
        let frequent = (0..100).filter(|f| storm.occurrences(*f) == 3).count();
        assert_eq!(frequent, 100, "the most valuable");
        let recent = (9_000..10_000).filter(|f| storm.occurrences(1_000_000 + f) == 1);
        assert_eq!(recent.count(), 1_000, "of those seen once the newest");
        let evicted = storm.take_evicted();
        assert_eq!(evicted, 10_100 - storm.fingerprints.len() as u64);
        assert_eq!(storm.take_evicted(), 0, "counted once");
    }
}
