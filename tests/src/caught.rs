//! Assertions about the slow-request log that read like a sentence.

use crate::{PATIENCE, Stall, until};
use redhanded::report::{Class, Confidence, Event, How, Phase, Report, Role, Verdict, WaitKind};
use std::fmt::Write;

type Demand = Box<dyn Fn(&Report) -> bool>;

/// What is demanded of one record; see [`caught`].
pub struct Caught<'s> {
    stall: &'s Stall,
    path: String,
    said: String,
    demands: Vec<Demand>,
}

impl std::fmt::Debug for Caught<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.path, self.said)
    }
}

/// Asserts that a request for `path` is caught in `stall`. Every further demand narrows the
/// records down: one and the same must meet them all, and what has not come yet is waited for.
#[track_caller]
pub fn caught<'s>(stall: &'s Stall, path: &str) -> Caught<'s> {
    let caught = Caught {
        stall,
        path: path.to_owned(),
        said: String::new(),
        demands: Vec::new(),
    };
    caught.that("caught", |r| r.verdict.is_some())
}

fn verdict(report: &Report) -> Verdict {
    report.verdict.clone().unwrap_or_default()
}

impl Caught<'_> {
    /// Demands anything of the record; `words` say what.
    #[track_caller]
    pub fn that(
        mut self,
        words: impl std::fmt::Display,
        demand: impl Fn(&Report) -> bool + 'static,
    ) -> Self {
        let _ = write!(self.said, " {words}");
        self.demands.push(Box::new(demand));
        if until(PATIENCE, || self.find()).is_none() {
            panic!(
                "{self:?}: no such record\nrecords:\n{}\nthe process said:\n{}",
                show(&self.seen()),
                self.stall.stderr()
            );
        }
        self
    }

    /// All records about this path, the ends among them.
    fn seen(&self) -> Vec<Report> {
        let records = self.stall.records();
        let here = |r: &&Report| r.request.as_ref().is_some_and(|q| q.path == self.path);
        let ids: Vec<String> = records.iter().filter(here).map(|r| r.id.clone()).collect();
        records
            .into_iter()
            .filter(|r| ids.contains(&r.id))
            .collect()
    }

    fn find(&self) -> Option<Report> {
        self.seen()
            .into_iter()
            .find(|r| self.demands.iter().all(|demand| demand(r)))
    }

    /// The record that met every demand.
    #[track_caller]
    pub fn record(&self) -> Report {
        self.find().expect("it was there a moment ago")
    }

    /// The class of the verdict.
    #[track_caller]
    pub fn as_class(self, class: Class) -> Self {
        self.that(format_args!("as {class}"), move |r| {
            verdict(r).class == class
        })
    }

    /// The role of the request.
    #[track_caller]
    pub fn by_role(self, role: Role) -> Self {
        self.that(format_args!("as {}", role.as_str()), move |r| {
            verdict(r).role == role
        })
    }

    /// The confidence, or more of it.
    #[track_caller]
    pub fn at_least(self, confidence: Confidence) -> Self {
        self.that(format_args!("at least {}", confidence.as_str()), move |r| {
            verdict(r).confidence >= confidence
        })
    }

    /// The confidence, or less of it.
    #[track_caller]
    pub fn at_most(self, confidence: Confidence) -> Self {
        self.that(format_args!("at most {}", confidence.as_str()), move |r| {
            verdict(r).confidence <= confidence
        })
    }

    /// The culprit's function, with its file and line: the lines that the stall has told.
    #[track_caller]
    pub fn at(self, function: &str) -> Self {
        let lines = self.stall.told("lines");
        let (first, last) = lines
            .split_once(' ')
            .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)))
            .expect("two numbers");
        let suffix = function.to_owned();
        let file = format!(
            "src/bin/{}.rs",
            function
                .rsplit_once("::")
                .map_or(function, |(module, _)| module)
                .replace("::", "/")
        );
        self.that(format!("at {function} ({file}:{first}-{last})"), move |r| {
            let culprit = verdict(r).culprit.unwrap_or_default();
            let lines: std::ops::RangeInclusive<u32> = first..=last;
            let in_file = culprit.file.is_some_and(|f| f.ends_with(&file));
            culprit.function.ends_with(&suffix)
                && in_file
                && culprit.line.is_some_and(|l| lines.contains(&l))
        })
    }

    /// The system call that the thread sleeps in.
    #[track_caller]
    pub fn in_call(self, name: &'static str) -> Self {
        self.that(format_args!("in {name}"), move |r| {
            let thread = r.evidence.as_ref().and_then(|e| e.thread.as_ref());
            thread
                .and_then(|t| t.syscall.as_deref())
                .is_some_and(|call| call == name)
        })
    }

    /// What it waits for.
    #[track_caller]
    pub fn waiting_for(self, kind: WaitKind) -> Self {
        self.that(format_args!("waiting for {kind:?}"), move |r| {
            verdict(r).waiting_for.is_some_and(|w| w.kind == kind)
        })
    }

    /// The host it waits for: the one that the stall has told, with the state of the socket.
    #[track_caller]
    pub fn with_the_peer(self, state: &'static str, phase: Option<&'static str>) -> Self {
        let peer = self.stall.told("peer");
        self.that(
            format!("with the peer {peer}, {state}, phase {phase:?}"),
            move |r| {
                let found = verdict(r).peer.unwrap_or_default();
                let address = format!(
                    "{}:{}",
                    found.address.unwrap_or_default(),
                    found.port.unwrap_or_default()
                );
                address == peer
                    && found.state.as_deref() == Some(state)
                    && (phase.is_none() || found.phase.as_deref() == phase)
            },
        )
    }

    /// Where in its life it is.
    #[track_caller]
    pub fn in_phase(self, phase: Phase) -> Self {
        self.that(format_args!("in phase {phase:?}"), move |r| {
            r.phase == Some(phase)
        })
    }

    /// The request as it was asked, at `/NAME/{id}`, with `q` in its query.
    #[track_caller]
    pub fn asked_for(self, id: &'static str, q: &'static str) -> Self {
        let path = self.path.clone();
        self.that(format_args!("with id {id} and q {q}"), move |r| {
            let request = r.request.clone().unwrap_or_default();
            let route = path
                .rsplit_once('/')
                .map_or(String::new(), |(stall, _)| format!("{stall}/{{id}}"));
            request.method == "GET"
                && request.route == Some(route)
                && request.url == format!("http://shop.example:8080{path}?q={q}")
                && request.params.path.get("id").is_some_and(|v| v == id)
                && request.params.query.get("q").is_some_and(|v| v == q)
                && request
                    .headers
                    .get("user-agent")
                    .is_some_and(|v| v == "tests/1")
        })
    }

    /// Nothing about this path, in no line so far, accuses it.
    #[track_caller]
    pub fn never_as_culprit(self) -> Self {
        let accused: Vec<Report> = self
            .seen()
            .into_iter()
            .filter(|r| r.verdict.as_ref().is_some_and(|v| v.role == Role::Culprit))
            .collect();
        assert!(
            accused.is_empty(),
            "{self:?} should never be accused, and was:\n{}",
            show(&accused)
        );
        self
    }

    /// No line about this path has another class or another role; but a first line without names
    /// may leave open who is to blame.
    #[track_caller]
    pub fn and_as_nothing_else(self) -> Self {
        let found = verdict(&self.record());
        let leaves_open = |v: &Verdict| {
            (v.role, v.confidence) == (Role::Bystander, Confidence::Suspected)
                && v.culprit.is_none()
        };
        let differs = |r: &Report| {
            r.verdict.as_ref().is_some_and(|v| {
                v.class != found.class || (v.role != found.role && !leaves_open(v))
            })
        };
        let other: Vec<Report> = self.seen().into_iter().filter(differs).collect();
        assert!(
            other.is_empty(),
            "{self:?} is judged otherwise in other lines:\n{}",
            show(&other)
        );
        self
    }

    /// Its end comes, and so: `how`, with this status.
    #[track_caller]
    pub fn and_ends(self, how: How, status: Option<u16>) -> Report {
        let end = until(PATIENCE, || {
            self.seen().into_iter().find(|r| r.event == Event::Ended)
        });
        let Some(end) = end else {
            panic!(
                "{self:?}: its end is missing\nrecords:\n{}",
                show(&self.seen())
            )
        };
        let outcome = end.outcome.clone().unwrap_or_default();
        assert_eq!(
            (outcome.how, outcome.status),
            (how, status),
            "the end of {self:?}:\n{}",
            show(&[end])
        );
        end
    }
}

/// Records for people: a line each to begin with, then all of them whole.
pub fn show(records: &[Report]) -> String {
    let mut text = String::new();
    for record in records {
        let found = verdict(record);
        let place = found.culprit.map(|c| {
            format!(
                " at {} ({}:{})",
                c.function,
                c.file.unwrap_or_default(),
                c.line.unwrap_or_default()
            )
        });
        let end = record
            .outcome
            .as_ref()
            .map(|o| format!("{:?} {:?}", o.how, o.status));
        let verdict = record
            .verdict
            .as_ref()
            .map(|v| format!("{} {} {}", v.class, v.role.as_str(), v.confidence.as_str()));
        let what = verdict.or(end).unwrap_or_default();
        let path = record
            .request
            .as_ref()
            .map(|q| q.path.as_str())
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "- {:?} {} {path}: {what}{}",
            record.event,
            record.id,
            place.unwrap_or_default()
        );
    }
    for record in records {
        let _ = writeln!(
            text,
            "{}",
            serde_json::to_string(record).unwrap_or_default()
        );
    }
    text
}
