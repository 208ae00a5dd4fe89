//! One install for all cases, and the table of what it has found.

use redhanded::report::{Class, Report, Role};
use redhanded::test_util::{self, Memory, PATIENCE};
use redhanded::{Outbound, Redhanded};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// As long as a call is seen to hang without us.
const HANGS: Duration = Duration::from_millis(600);

/// What must be found of one call that hangs.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) role: Role,
    pub(crate) phase: &'static str,
    /// State of the socket, where it is at hand.
    pub(crate) state: Option<&'static str>,
    /// The function to blame.
    pub(crate) at: &'static str,
    pub(crate) host: Host,
}

impl Case {
    /// Connected, and nobody answers.
    pub(crate) fn silent(name: &'static str, host: Host, at: &'static str) -> Self {
        Self {
            name,
            class: Class::SilentPeer,
            role: Role::Culprit,
            phase: "wait_headers",
            state: None,
            at,
            host,
        }
    }

    /// A host that accepts nothing.
    pub(crate) fn unreachable(name: &'static str, host: Host, at: &'static str) -> Self {
        Self {
            class: Class::UnreachableHost,
            phase: "connect",
            ..Self::silent(name, host, at)
        }
    }

    pub(crate) fn with_state(self, state: &'static str) -> Self {
        let state = Some(state);
        Self { state, ..self }
    }
}

/// A server by the name that its caller knows it by.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) port: u16,
}

impl Host {
    pub(crate) fn outbound(self) -> Outbound {
        redhanded::outbound(self.kind, format!("{}:{}", self.name, self.port))
    }
}

pub(crate) struct Watch {
    pub(crate) redhanded: Redhanded,
    pub(crate) reports: Memory,
    rows: Vec<Row>,
}

struct Row {
    text: String,
    faults: Vec<String>,
}

/// A call that hangs, and its report. Aborted when dropped.
pub(crate) struct Caught {
    pub(crate) report: Option<Arc<Report>>,
    running: JoinHandle<()>,
}

impl Drop for Caught {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Watch {
    pub(crate) fn install() -> Self {
        let (builder, reports) = test_util::builder("outbound");
        let redhanded = builder.install().expect("the only install");
        Self {
            redhanded,
            reports,
            rows: Vec::new(),
        }
    }

    /// Runs `hangs` as a job, which must be caught as `case` says. Its row and its faults go to the table.
    pub(crate) fn catch<F>(&mut self, case: Case, hangs: F) -> Caught
    where
        F: Future<Output: std::fmt::Debug> + Send + 'static,
    {
        let job = self.redhanded.job(case.name).run(hangs);
        let running = tokio::spawn(async move {
            let ended = job.await;
            panic!("{}: it does not hang: {ended:?}", case.name);
        });
        // The first line may have had to go without names, or at once.
        let named = |report: &Report| {
            let mut stacks = report.evidence.iter().flat_map(|e| &e.stacks);
            let mut frames = stacks.by_ref().flat_map(|stack| &stack.frames);
            let has_names = frames.any(|frame| frame.function.is_some());
            is(report, case.name) && report.verdict.is_some() && has_names
        };
        let report = self.reports.wait_for(PATIENCE, named);
        let all = self.reports.reports();
        let of_case: Vec<_> = all.iter().filter(|r| is(r, case.name)).collect();
        let report = report.or_else(|| of_case.last().map(|r| Arc::clone(r)));
        let mut faults = report
            .as_ref()
            .map_or(vec!["not caught".to_owned()], |r| faults(&case, r));
        let strangers = of_case.iter().filter(|r| accuses_another(&case.host, r));
        faults.extend(strangers.map(|r| format!("a wrong host: {:?}", r.verdict)));
        self.rows.push(Row {
            text: row(&case, report.as_deref()),
            faults,
        });
        Caught { report, running }
    }

    /// Says what else must be so of the case before.
    pub(crate) fn demand(&mut self, what: &str, is_so: bool) {
        if let Some(row) = self.rows.last_mut().filter(|_| !is_so) {
            row.faults.push(what.to_owned());
        }
    }

    /// The case before is `late` because of `first`.
    pub(crate) fn demand_victim(&mut self, late: &Caught, first: &Caught) {
        let verdict = late.report.as_ref().and_then(|r| r.verdict.clone());
        let victim_of = verdict.and_then(|v| v.victim_of);
        let holder = first.report.as_ref().map(|r| r.id.clone());
        let is_so = victim_of.is_some() && victim_of == holder;
        self.demand(
            &format!("a victim of {holder:?}, not of {victim_of:?}"),
            is_so,
        );
    }

    /// All rows, and below each what is wrong with it.
    pub(crate) fn table(&self) -> String {
        let head = "case: class host:port phase state role confidence at";
        let lines = self.rows.iter().flat_map(|row| {
            let faults = row.faults.iter().map(|fault| format!("    WRONG {fault}"));
            std::iter::once(row.text.clone()).chain(faults)
        });
        let lines: Vec<String> = std::iter::once(head.to_owned()).chain(lines).collect();
        format!(
            "{}\n{} cases, {} wrong",
            lines.join("\n"),
            self.rows.len(),
            self.wrong()
        )
    }

    pub(crate) fn wrong(&self) -> usize {
        self.rows.iter().filter(|r| !r.faults.is_empty()).count()
    }
}

/// Asserts that `bare` hangs where nobody watches it.
pub(crate) async fn hangs<F: Future>(what: &str, bare: F)
where
    F::Output: std::fmt::Debug,
{
    let ended = tokio::time::timeout(HANGS, bare).await;
    assert!(ended.is_err(), "{what} does not hang: {ended:?}");
}

/// The same of work that blocks its thread, which is left to it until its server ends.
pub(crate) async fn blocks<T>(what: &str, bare: impl FnOnce() -> T + Send + 'static)
where
    T: std::fmt::Debug + Send + 'static,
{
    hangs(what, tokio::task::spawn_blocking(bare)).await;
}

fn is(report: &Report, job: &str) -> bool {
    let route = report.request.as_ref().and_then(|r| r.route.as_deref());
    route == Some(job)
}

fn accuses_another(host: &Host, report: &Report) -> bool {
    let peer = report.verdict.as_ref().and_then(|v| v.peer.as_ref());
    peer.is_some_and(|peer| {
        let named = peer.name.as_deref() == Some(host.name);
        let at_home = peer.address.as_deref().is_none_or(|a| a == "127.0.0.1");
        !named || !at_home || peer.port != Some(host.port)
    })
}

fn faults(case: &Case, report: &Report) -> Vec<String> {
    let verdict = report.verdict.clone().unwrap_or_default();
    let peer = verdict.peer.clone().unwrap_or_default();
    let culprit = verdict.culprit.map(|c| c.function).unwrap_or_default();
    let mut faults = Vec::new();
    let mut same = |what: &str, found: &str, wanted: &str| {
        if found != wanted {
            faults.push(format!("{what} is {found}, not {wanted}"));
        }
    };
    same("class", verdict.class.as_str(), case.class.as_str());
    same("role", verdict.role.as_str(), case.role.as_str());
    same("phase", &peer.phase.unwrap_or_default(), case.phase);
    same("host", &peer.name.unwrap_or_default(), case.host.name);
    let port = peer.port.unwrap_or_default().to_string();
    same("port", &port, &case.host.port.to_string());
    if let Some(state) = case.state {
        same("state", &peer.state.unwrap_or_default(), state);
    }
    if !culprit.ends_with(case.at) {
        faults.push(format!("the culprit is {culprit}, not {}", case.at));
    }
    if !faults.is_empty() {
        faults.push(verdict.cause);
        let stacks = report.evidence.iter().flat_map(|e| &e.stacks);
        let frames = stacks.flat_map(|s| s.frames.iter().take(25));
        faults.extend(frames.filter_map(|f| f.function.clone()));
    }
    faults
}

fn row(case: &Case, report: Option<&Report>) -> String {
    let verdict = report.and_then(|r| r.verdict.clone()).unwrap_or_default();
    let peer = verdict.peer.unwrap_or_default();
    let culprit = verdict.culprit.map(|c| c.function).unwrap_or_default();
    format!(
        "{}: {} {}:{} {} {} {} {} {culprit}",
        case.name,
        verdict.class,
        peer.name.as_deref().unwrap_or("-"),
        peer.port.unwrap_or_default(),
        peer.phase.as_deref().unwrap_or("-"),
        peer.state.as_deref().unwrap_or("-"),
        verdict.role.as_str(),
        verdict.confidence.as_str(),
    )
}
