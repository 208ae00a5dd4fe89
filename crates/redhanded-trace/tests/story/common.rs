//! An install whose reports are kept in memory, and requests that are caught when they have told
//! their story.

use redhanded_core::sink::Sink;
use redhanded_core::{Asked, Config, Installed, Log, install};
use redhanded_report::{Event, Evidence, Report};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What is overdue is looked at soon.
const SLOW_AFTER: Duration = Duration::from_millis(150);
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<Arc<Report>>>>);

impl Sink for Memory {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        self.0.lock().expect("no panic").push(report.clone());
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

/// An install, and what it has caught.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) installed: Installed,
    caught: Memory,
}

pub(crate) fn watch() -> Watch {
    watch_after(SLOW_AFTER)
}

/// One for requests that have much to tell before they hang.
pub(crate) fn watch_after(slow_after: Duration) -> Watch {
    let mut config = Config::new("trace-tests");
    config.slow_after = slow_after;
    config.log = Log::Nowhere;
    let caught = Memory::default();
    let (installed, _) = install(config, vec![Box::new(caught.clone())]).expect("an install");
    Watch { installed, caught }
}

impl Watch {
    /// A request for `path`.
    pub(crate) fn ask(&self, path: &str) -> Asked {
        Asked::new(Some(self.installed.engine()), "GET", path)
    }

    /// Waits until the request for `path` is caught.
    pub(crate) fn evidence(&self, path: &str) -> Evidence {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            let reports = self.caught.0.lock().expect("no panic").clone();
            let is_it = |report: &&Arc<Report>| {
                let request = report.request.as_ref();
                report.event == Event::Caught && request.is_some_and(|r| r.path == path)
            };
            if let Some(found) = reports.iter().find(is_it) {
                return found.evidence.clone().unwrap_or_default();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{path} was not caught");
    }

    /// Runs `tell` as a request for `path` that hangs where it waits to be let go, until it is caught.
    pub(crate) fn hang<F: Future>(
        &self,
        path: &str,
        tell: impl FnOnce(Arc<Notify>) -> F,
    ) -> Evidence {
        let go_on = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (watch, path) = (self.clone(), path.to_owned());
        runtime.block_on(async {
            let asked = self.ask(&path).run(tell(go_on.clone()));
            let caught = tokio::task::spawn_blocking(move || watch.evidence(&path));
            let waits = async {
                let evidence = caught.await.expect("no panic");
                go_on.notify_one();
                evidence
            };
            tokio::join!(asked, waits).1
        })
    }
}

/// The texts of the events that a report has.
pub(crate) fn texts(evidence: &Evidence) -> Vec<&str> {
    let events = evidence.events.iter();
    events.map(|event| event.text.as_str()).collect()
}

/// The names of the open spans that a report has.
pub(crate) fn names(evidence: &Evidence) -> Vec<&str> {
    evidence
        .spans
        .iter()
        .map(|span| span.name.as_str())
        .collect()
}
