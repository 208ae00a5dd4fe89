//! An install with a log and a memory of its own.

use redhanded::report::{Event, Report};
use redhanded::sink::Sink;
use redhanded::{Redhanded, WatchLayer};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps every report.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<Report>>>);

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

impl Kept {
    /// Everything so far.
    pub fn all(&self) -> Vec<Report> {
        self.0.lock().expect("no panic").clone()
    }

    /// The record of this event about the request for `path`.
    pub fn find(&self, path: &str, event: Event) -> Option<Report> {
        let reports = self.all();
        let of_path = |r: &&Report| r.request.as_ref().is_some_and(|q| q.path == path);
        let caught = reports.iter().find(of_path)?;
        let wanted = |r: &&Report| r.id == caught.id && r.event == event;
        reports.iter().rfind(wanted).cloned()
    }
}

/// An install and what it has found.
#[derive(Debug)]
pub struct Watched {
    /// The install.
    pub redhanded: Redhanded,
    /// What it reported.
    pub kept: Kept,
    _dir: tempfile::TempDir,
}

impl Watched {
    /// An install of its own that reports what takes longer than `slow_after`.
    pub fn new(name: &str, slow_after: Duration) -> Self {
        crate::hush();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let kept = Kept::default();
        let builder = Redhanded::builder(name)
            .slow_after(slow_after)
            .slow_log(dir.path().join("slow.jsonl"));
        let redhanded = builder.sink(kept.clone()).install().expect("good settings");
        Self {
            redhanded,
            kept,
            _dir: dir,
        }
    }

    pub(crate) fn layer(&self) -> WatchLayer {
        self.redhanded.layer()
    }
}
