//! What the slow-request log says, read back from disk as anybody would.

use crate::culprits::Culprit;
use redhanded::report::{Event, Report, Role};
use redhanded::sink::Sink;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Rings after each line that was written to the log, so that nobody has to poll the file.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}

impl Sink for Bell {
    fn accept(&self, _: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.0.notify_one();
    }

    fn flush(&self, _: Duration) -> bool {
        true
    }

    fn lost(&self) -> u64 {
        0
    }
}

/// The last word about each request that was caught.
#[derive(Default)]
pub(crate) struct Evidence {
    /// By id, which sorts by time.
    reports: BTreeMap<String, Report>,
    pub(crate) lines: usize,
}

impl Evidence {
    pub(crate) fn read(log: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(log)?;
        let mut evidence = Self::default();
        // A line without its end is being written.
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            evidence.lines += 1;
            let report: Report = serde_json::from_str(line)?;
            if matches!(
                report.event,
                Event::Caught | Event::Symbolized | Event::Updated
            ) {
                evidence.add(report);
            }
        }
        Ok(evidence)
    }

    /// A later line knows more, but for one that was written in haste and has no names yet.
    fn add(&mut self, report: Report) {
        let is_named = |r: &Report| r.verdict.as_ref().is_some_and(|v| v.culprit.is_some());
        let known_better = self.reports.get(&report.id).is_some_and(is_named) && !is_named(&report);
        if !known_better {
            self.reports.insert(report.id.clone(), report);
        }
    }

    pub(crate) fn about(&self, culprit: &Culprit) -> Option<&Report> {
        self.reports.values().find(|report| culprit.is(report))
    }

    /// Reports about requests that are late because of another.
    pub(crate) fn victims(&self) -> impl Iterator<Item = &Report> {
        self.reports
            .values()
            .filter(|report| role(report) == Some(Role::Victim))
    }

    /// Reports that accuse a request which is none of the culprits: there must be none.
    pub(crate) fn accused<'a>(
        &'a self,
        culprits: &'a [Culprit],
    ) -> impl Iterator<Item = &'a Report> {
        let is_innocent = |report: &&Report| !culprits.iter().any(|culprit| culprit.is(report));
        self.reports
            .values()
            .filter(|report| role(report) == Some(Role::Culprit))
            .filter(is_innocent)
    }

    /// Whether all that will be found has been found.
    pub(crate) fn is_complete(&self, culprits: &[Culprit], waiters: usize) -> bool {
        let caught = |c: &Culprit| {
            self.about(c)
                .is_some_and(|report| c.missing(report).is_empty())
        };
        culprits.iter().all(caught) && self.victims().count() >= waiters
    }
}

fn role(report: &Report) -> Option<Role> {
    report.verdict.as_ref().map(|verdict| verdict.role)
}
