//! For tests of an application's own hangs: reports in memory instead of a file, and assertions that
//! wait for what must come.
//!
//! ```
//! use redhanded::report::{Class, Role};
//! use redhanded::test_util;
//!
//! # #[tokio::main] async fn main() {
//! let (builder, reports) = test_util::builder("my-service");
//! let redhanded = builder.install().unwrap();
//!
//! let hangs = async {
//!     let receipt = tokio::sync::Notify::new();
//!     receipt.notified().await; // nobody will
//! };
//! let running = tokio::spawn(redhanded.job("distribute").param("notice", 7).run(hangs));
//!
//! reports.assert_caught("distribute").as_class(Class::StuckAwait).by_role(Role::Culprit);
//! running.abort();
//! # }
//! ```

use crate::{Builder, Redhanded};
use parking_lot::{Condvar, Mutex};
use redhanded_core::sink::Sink;
use redhanded_report::{Class, Event, How, Outcome, Report, Role, Style, page};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Threshold of [`builder`], short enough for a test and long enough for a busy machine.
pub const SLOW_AFTER: Duration = Duration::from_millis(200);
/// How long assertions wait.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A builder for tests and the memory that its reports go to: slow after [`SLOW_AFTER`], no log file.
pub fn builder(service: &str) -> (Builder, Memory) {
    let memory = Memory::new();
    let builder = Redhanded::builder(service)
        .slow_after(SLOW_AFTER)
        .no_slow_log()
        .sink(memory.clone());
    (builder, memory)
}

/// Reports in memory, newest last. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    reports: Mutex<Vec<Arc<Report>>>,
    more: Condvar,
}

/// Reports that are kept; a test that makes more has its oldest forgotten.
const MOST: usize = 100_000;

impl Sink for Memory {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        let mut reports = self.0.reports.lock();
        if reports.len() == MOST {
            reports.remove(0);
        }
        reports.push(report.clone());
        self.0.more.notify_all();
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

impl Memory {
    /// An empty memory, for [`Builder::sink`].
    pub fn new() -> Self {
        Self::default()
    }

    /// All reports so far.
    pub fn reports(&self) -> Vec<Arc<Report>> {
        self.0.reports.lock().clone()
    }

    /// The first report that `fits`, waited for at most for `deadline`. Blocks this thread.
    pub fn wait_for(
        &self,
        deadline: Duration,
        fits: impl Fn(&Report) -> bool,
    ) -> Option<Arc<Report>> {
        let until = Instant::now() + deadline;
        let mut reports = self.0.reports.lock();
        loop {
            if let Some(found) = reports.iter().find(|report| fits(report)) {
                return Some(found.clone());
            }
            if self.0.more.wait_until(&mut reports, until).timed_out() {
                return reports.iter().find(|report| fits(report)).cloned();
            }
        }
    }

    /// Asserts that a request is caught whose route, path or job's name is `what`.
    ///
    /// Waits for [`PATIENCE`]. Blocks this thread: on a runtime with a single worker, what is to be
    /// caught has to run elsewhere.
    ///
    /// # Panics
    ///
    /// If none is, with everything that was reported instead.
    #[track_caller]
    pub fn assert_caught(&self, what: &str) -> Caught {
        let caught = Caught {
            memory: self.clone(),
            what: what.to_owned(),
            said: format!("{what} caught"),
            demands: Vec::new(),
        };
        caught.that("", |_| true)
    }

    /// Asserts that nothing was reported whose route, path or job's name is `what`, so far.
    ///
    /// # Panics
    ///
    /// If something was, with it.
    #[track_caller]
    pub fn assert_not_caught(&self, what: &str) {
        let found: Vec<_> = self.reports().into_iter().filter(|r| is(r, what)).collect();
        assert!(found.is_empty(), "{what} was caught:\n{}", show(&found));
    }
}

/// Whether `report` is about `what`.
fn is(report: &Report, what: &str) -> bool {
    report
        .request
        .as_ref()
        .is_some_and(|r| r.path == what || r.route.as_deref() == Some(what))
}

fn show(reports: &[Arc<Report>]) -> String {
    let mut text = String::new();
    for report in reports {
        let _ = writeln!(
            text,
            "--- {}\n{}",
            report.event.as_str(),
            page(report, Style::Plain)
        );
    }
    if text.is_empty() {
        text.push_str("nothing was reported");
    }
    text
}

type Demand = Box<dyn Fn(&Report) -> bool + Send + Sync>;

/// What is demanded of one report: one and the same must meet all demands, and what has not come
/// yet is waited for. Each method panics if it does not come, with everything that did.
#[must_use = "a demand more says more"]
pub struct Caught {
    memory: Memory,
    what: String,
    said: String,
    demands: Vec<Demand>,
}

impl std::fmt::Debug for Caught {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said)
    }
}

impl Caught {
    /// Demands anything; `words` say what, for the message.
    #[track_caller]
    pub fn that(
        mut self,
        words: impl std::fmt::Display,
        demand: impl Fn(&Report) -> bool + Send + Sync + 'static,
    ) -> Self {
        let _ = write!(self.said, " {words}");
        self.demands.push(Box::new(demand));
        if self.find(PATIENCE).is_none() {
            panic!(
                "{}: not so\n{}",
                self.said.trim_end(),
                show(&self.memory.reports())
            );
        }
        self
    }

    fn find(&self, deadline: Duration) -> Option<Arc<Report>> {
        self.memory.wait_for(deadline, |report| {
            report.verdict.is_some()
                && is(report, &self.what)
                && self.demands.iter().all(|demand| demand(report))
        })
    }

    /// The class of the verdict.
    #[track_caller]
    pub fn as_class(self, class: Class) -> Self {
        self.that(format_args!("as {class}"), move |r| {
            r.verdict.as_ref().is_some_and(|v| v.class == class)
        })
    }

    /// The role in the verdict.
    #[track_caller]
    pub fn by_role(self, role: Role) -> Self {
        self.that(format_args!("as {}", role.as_str()), move |r| {
            r.verdict.as_ref().is_some_and(|v| v.role == role)
        })
    }

    /// The function to blame: its name ends so, such as `search::matches`.
    #[track_caller]
    pub fn at(self, function: &str) -> Self {
        let end = function.to_owned();
        self.that(format_args!("at {function}"), move |r| {
            let culprit = r.verdict.as_ref().and_then(|v| v.culprit.as_ref());
            culprit.is_some_and(|c| c.function.ends_with(&end))
        })
    }

    /// The remote host that it waits for, as `address:port` or by name.
    #[track_caller]
    pub fn with_peer(self, peer: &str) -> Self {
        let wanted = peer.to_owned();
        self.that(format_args!("with peer {peer}"), move |r| {
            let peer = r.verdict.as_ref().and_then(|v| v.peer.as_ref());
            peer.is_some_and(|p| {
                let address = p.address.as_deref().unwrap_or_default();
                let port = p.port.unwrap_or_default();
                format!("{address}:{port}") == wanted || p.name.as_deref() == Some(&wanted)
            })
        })
    }

    /// A parameter of the path, the query or the job.
    #[track_caller]
    pub fn with_param(self, name: &str, value: &str) -> Self {
        let (key, wanted) = (name.to_owned(), value.to_owned());
        self.that(format_args!("with {name}={value}"), move |r| {
            let Some(request) = &r.request else {
                return false;
            };
            let params = &request.params;
            [&params.path, &params.query, &params.job]
                .into_iter()
                .any(|of| of.get(&key) == Some(&wanted))
        })
    }

    /// The report that meets all demands.
    ///
    /// # Panics
    ///
    /// If it was forgotten since.
    pub fn report(&self) -> Arc<Report> {
        let found = self.find(Duration::ZERO);
        found.unwrap_or_else(|| panic!("{}: forgotten", self.said))
    }

    /// Waits for its end, which must be so; returns all that is known of it.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`], or otherwise.
    #[track_caller]
    pub fn and_ends(self, how: How) -> Outcome {
        let id = self.report().id.clone();
        let ended = |r: &Report| r.event == Event::Ended && r.id == id;
        let Some(end) = self.memory.wait_for(PATIENCE, ended) else {
            panic!(
                "{}: it does not end\n{}",
                self.said,
                show(&self.memory.reports())
            );
        };
        let outcome = end.outcome.clone().unwrap_or_default();
        assert_eq!(outcome.how, how, "the end of {}", self.said);
        outcome
    }
}
