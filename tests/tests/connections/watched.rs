//! An install of this process, with a memory of its own.

use redhanded::Redhanded;
use redhanded::report::{Event, How, Phase, Report};
use redhanded::sink::Sink;
use redhanded_tests::{PATIENCE, until};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The threshold; a handler that sleeps for [`SLOW`] is caught, unless the machine is too busy.
pub(crate) const SLOW_AFTER: Duration = Duration::from_millis(60);
pub(crate) const SLOW: Duration = Duration::from_millis(250);

/// Keeps every report.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Report>>>);

impl Sink for Kept {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.0.lock().expect("no panic").push(Report::clone(report));
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) redhanded: Redhanded,
    kept: Kept,
    _dir: Arc<tempfile::TempDir>,
}

/// Nobody is woken: without a stack each path has a fingerprint of its own, so that each has a line.
pub(crate) fn watched() -> Watched {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kept = Kept::default();
    let builder = Redhanded::builder("connections")
        .slow_after(SLOW_AFTER)
        .wake_to_look(false)
        .slow_log(dir.path().join("slow.jsonl"));
    let redhanded = builder.sink(kept.clone()).install().expect("good settings");
    Watched {
        redhanded,
        kept,
        _dir: Arc::new(dir),
    }
}

impl Watched {
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.kept.0.lock().expect("no panic").clone()
    }

    fn show(&self) -> String {
        redhanded_tests::show(&self.reports())
    }

    /// The first record that `fits`, once it is there.
    #[track_caller]
    pub(crate) fn record(&self, what: &str, fits: impl Fn(&Report) -> bool) -> Report {
        until(PATIENCE, || self.reports().into_iter().find(|r| fits(r)))
            .unwrap_or_else(|| panic!("no {what}:\n{}\n{:?}", self.show(), self.redhanded.stats()))
    }

    /// Until there is a line about the request for `path`.
    pub(crate) async fn is_caught(&self, path: &str) {
        let seen = || {
            let reports = self.kept.0.lock().expect("no panic");
            let mut requests = reports.iter().filter_map(|r| r.request.as_ref());
            requests.any(|q| q.path == path)
        };
        let end = tokio::time::Instant::now() + PATIENCE;
        while !seen() && tokio::time::Instant::now() < end {
            tokio::time::sleep(SLOW_AFTER / 3).await;
        }
    }

    /// The first line about the request for `path`.
    #[track_caller]
    pub(crate) fn caught(&self, path: &str) -> Report {
        self.record(path, |r| {
            r.event == Event::Caught && r.request.as_ref().is_some_and(|q| q.path == path)
        })
    }

    /// The first line about a head that came in part from this client.
    #[track_caller]
    pub(crate) fn caught_head(&self, from: Option<&str>) -> Report {
        self.record("slow head", |r| {
            let is_head = r.event == Event::Caught && r.phase == Some(Phase::RequestHead);
            is_head && client(r).as_deref() == from
        })
    }

    /// How the runaway `caught` ended, once it has.
    #[track_caller]
    pub(crate) fn end_of(&self, caught: &Report) -> (How, Option<u16>) {
        let end = self.record("end", |r| r.id == caught.id && r.event == Event::Ended);
        let outcome = end.outcome.expect("an end has one");
        (outcome.how, outcome.status)
    }

    /// How the request for `path`, which is caught, ended.
    #[track_caller]
    pub(crate) fn outcome(&self, path: &str) -> (How, Option<u16>) {
        self.end_of(&self.caught(path))
    }

    #[track_caller]
    pub(crate) fn becomes_empty(&self) {
        let empty = until(PATIENCE, || (self.redhanded.in_flight() == 0).then_some(()));
        assert!(empty.is_some(), "{}", self.show());
        assert_eq!(self.redhanded.stats().internal_errors, 0);
    }
}

/// The client that a line names.
pub(crate) fn client(report: &Report) -> Option<String> {
    report.request.as_ref().and_then(|q| q.client.clone())
}
