//! What the clerk remembers of caught requests until they end.

use redhanded_report::{Report, Role, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Requests whose line is remembered; beyond that the oldest are forgotten.
const REMEMBERED: usize = 1000;
/// Victims that are known by id, per culprit.
const KNOWN_VICTIMS: usize = 1000;
/// Victims that a culprit's record names.
const NAMED_VICTIMS: usize = 10;

/// Caught requests that have not ended.
#[derive(Default)]
pub(super) struct Remembered {
    /// By id, which sorts by time: the fullest line of each.
    lines: BTreeMap<String, Arc<Report>>,
    /// By the culprit's id: who waits for what it may hold.
    victims: BTreeMap<String, BTreeSet<String>>,
}

impl Remembered {
    /// The lines of all requests but one.
    pub(super) fn others<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Report> {
        self.lines
            .iter()
            .filter(move |(other, _)| *other != id)
            .map(|(_, line)| line.as_ref())
    }

    /// Whether the request of `report` was found guilty of the same before.
    pub(super) fn is_culprit(&self, report: &Report) -> bool {
        self.lines.get(&report.id).is_some_and(|line| {
            let verdict = line.verdict.as_ref();
            let guilty = verdict.is_some_and(|verdict| verdict.role == Role::Culprit);
            guilty && line.fingerprint == report.fingerprint
        })
    }

    /// Whether the request `id` was late because of another before, and that one is over.
    pub(super) fn culprit_is_over(&self, id: &str) -> bool {
        let verdict = self.lines.get(id).and_then(|line| line.verdict.as_ref());
        let culprit = verdict.and_then(|verdict| verdict.victim_of.as_ref());
        culprit.is_some_and(|culprit| !self.lines.contains_key(culprit))
    }

    pub(super) fn keep(&mut self, report: Arc<Report>) {
        if self.lines.len() >= REMEMBERED
            && let Some((oldest, _)) = self.lines.pop_first()
        {
            self.victims.remove(&oldest);
        }
        self.lines.insert(report.id.clone(), report);
    }

    pub(super) fn forget(&mut self, id: &str) -> Option<Arc<Report>> {
        self.victims.remove(id);
        self.lines.remove(id)
    }

    /// Books a victim with its culprit, and tells a culprit of the victims that names have shown.
    pub(super) fn join_victims(&mut self, id: &str, verdict: &mut Verdict) {
        if let Some(culprit) = verdict
            .victim_of
            .as_ref()
            .filter(|c| self.lines.contains_key(*c))
        {
            let victims = self.victims.entry(culprit.clone()).or_default();
            if victims.len() < KNOWN_VICTIMS {
                victims.insert(id.to_owned());
            }
        }
        let Some(victims) = self.victims.get(id).filter(|_| verdict.victims.is_none()) else {
            return;
        };
        verdict.victims = Some(victims.len() as u64);
        verdict.victim_ids = victims.iter().take(NAMED_VICTIMS).cloned().collect();
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use redhanded_report::Event;

    #[test]
    fn a_holder_is_told_who_waits_for_it() {
        let mut remembered = Remembered::default();
        remembered.keep(Arc::new(Report::new(Event::Caught, "01HOLDER")));
        for id in ["01A", "01B", "01B"] {
            let mut waiter = Verdict::default();
            waiter.victim_of = Some("01HOLDER".to_owned());
            remembered.join_victims(id, &mut waiter);
        }
        let mut holder = Verdict::default();
        remembered.join_victims("01HOLDER", &mut holder);
        assert_eq!(
            (holder.victims, holder.victim_ids),
            (Some(2), vec!["01A".to_owned(), "01B".to_owned()])
        );
    }

    #[test]
    fn a_culprit_is_over_when_it_was_named_and_has_ended() {
        let mut remembered = Remembered::default();
        let mut waiter = Report::new(Event::Caught, "01A");
        let mut verdict = Verdict::default();
        verdict.victim_of = Some("01HOLDER".to_owned());
        waiter.verdict = Some(verdict);
        remembered.keep(Arc::new(Report::new(Event::Caught, "01HOLDER")));
        remembered.keep(Arc::new(waiter));
        assert!(!remembered.culprit_is_over("01A"), "it is still there");
        remembered.forget("01HOLDER");
        assert!(remembered.culprit_is_over("01A"));
        assert!(!remembered.culprit_is_over("01B"), "nobody was named");
    }

    #[test]
    fn memory_is_bounded() {
        let mut remembered = Remembered::default();
        for n in 0..5_000 {
            remembered.keep(Arc::new(Report::new(Event::Caught, format!("{n:026}"))));
        }
        assert_eq!(remembered.lines.len(), REMEMBERED);
        assert!(remembered.forget(&format!("{:026}", 4_999)).is_some());
        assert!(remembered.forget(&format!("{:026}", 1)).is_none());
    }
}
