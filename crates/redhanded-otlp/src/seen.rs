//! What was exported about a request before: bounded, the oldest is forgotten first.

use crate::told::Told;
use redhanded_report::{Class, Event, Report, Role};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Far more than a process has runaways at a time; half a megabyte when full, and four
/// more where all of them told of many calls.
const LIMIT: usize = 4096;

/// What a later look is compared with.
type Finding = (Class, Role);

/// What was said of a runaway.
struct Said {
    finding: Option<Finding>,
    told: Told,
}

/// What was said of the runaways in flight, and which of them have ended.
pub(crate) struct Seen {
    said: Recent<String, Said>,
    ended: Recent<String, ()>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            said: Recent::new(LIMIT),
            ended: Recent::new(LIMIT),
        }
    }

    /// Remembers what was last exported about the request.
    pub(crate) fn note(&mut self, report: &Report, told: Told) {
        let finding = finding(report);
        self.said.insert(report.id.clone(), Said { finding, told });
    }

    /// The calls that were exported about the request. Only its first report can be known to have
    /// none before it: of a process that died we remember nothing.
    pub(crate) fn told(&self, report: &Report) -> Told {
        match self.said.get(&report.id) {
            Some(said) => said.told.clone(),
            None if report.event == Event::Caught => Told::default(),
            None => Told::unsure(),
        }
    }

    /// Whether `updated` says something else than what was last exported, which is `caught` where
    /// we do not remember it. What was never exported is news.
    pub(crate) fn is_news(&self, updated: &Report, caught: Option<&Report>) -> bool {
        let before = match self.said.get(&updated.id) {
            Some(said) => said.finding,
            None => caught.and_then(finding),
        };
        finding(updated).is_some_and(|now| before != Some(now))
    }

    /// Whether this is the first end of that span: two spans with one id are shown as two.
    pub(crate) fn ends(&mut self, ended: &Report, caught: Option<&Report>) -> bool {
        self.said.remove(&ended.id);
        let span = ended
            .span_id
            .as_ref()
            .or_else(|| caught.and_then(|caught| caught.span_id.as_ref()));
        self.ended.insert(span.unwrap_or(&ended.id).clone(), ())
    }
}

fn finding(report: &Report) -> Option<Finding> {
    report
        .verdict
        .as_ref()
        .map(|verdict| (verdict.class, verdict.role))
}

/// A map of the keys that were inserted last.
struct Recent<K, V> {
    map: HashMap<K, V>,
    /// Every key of the map, and some that were removed from it since.
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    fn new(limit: usize) -> Self {
        Self {
            map: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    /// Whether the key is new.
    fn insert(&mut self, key: K, value: V) -> bool {
        if self.map.insert(key.clone(), value).is_some() {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.map.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, key: &K) {
        self.map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redhanded_report::{Confidence, Event, Verdict};

    fn look(event: Event, class: Class) -> Report {
        let mut report = Report::new(event, "one");
        report.verdict = Some(Verdict::new(class, Role::Culprit, Confidence::Likely, ""));
        report
    }

    #[test]
    fn a_later_look_is_news_only_with_another_verdict() {
        let mut seen = Seen::new();
        let same = look(Event::Updated, Class::CpuLoop);
        let other = look(Event::Updated, Class::BlockedThread);
        let caught = look(Event::Caught, Class::CpuLoop);
        assert!(seen.is_news(&same, None), "never exported");
        assert!(!seen.is_news(&same, Some(&caught)));
        seen.note(&caught, Told::default());
        assert!(!seen.is_news(&same, None));
        assert!(seen.is_news(&other, None));
        seen.note(&other, Told::default());
        assert!(
            !seen.is_news(&other, Some(&caught)),
            "the last export counts, not the first"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::new(3);
        for key in 0..10_000 {
            assert!(recent.insert(key, ()));
            if key % 2 == 0 {
                recent.remove(&key);
            }
        }
        assert!(recent.map.len() <= 3 && recent.order.len() <= 3);
        assert!(recent.get(&9999).is_some() && recent.get(&1).is_none());
        assert!(!recent.insert(9999, ()));
    }
}
