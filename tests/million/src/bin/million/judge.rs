//! Whether the log accuses the right ones.

use crate::Error;
use crate::culprits::Culprit;
use redhanded::report::{Report, Role, Verdict};
use std::collections::BTreeSet;
use std::path::Path;

/// What the log says.
pub(crate) struct Findings {
    /// By culprit, in their order.
    pub(crate) found: Vec<Found>,
    /// Lines of others that accuse them.
    pub(crate) accused: Vec<Report>,
    /// Lines of others that do not: victims, bystanders, and what concerns the process.
    pub(crate) tolerated: Vec<Report>,
}

/// What it says of one culprit.
#[derive(Default)]
pub(crate) struct Found {
    /// Ids under which it is reported.
    ids: BTreeSet<String>,
    /// The best of its lines.
    pub(crate) report: Option<Report>,
    /// When it was caught, in milliseconds after its begin.
    pub(crate) caught_ms: Option<f64>,
    /// What even that line does not say, or says wrong.
    missing: Vec<String>,
    /// Lines that accuse it of something else.
    contradicting: usize,
}

impl Findings {
    /// Whole lines of the log so far, sorted.
    pub(crate) fn read(log: &Path, culprits: &[Culprit]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(log)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line| serde_json::from_str(line).map_err(|why| format!("{why}: {line}"));
        let reports = whole
            .lines()
            .map(parse)
            .collect::<Result<Vec<Report>, _>>()?;
        Ok(Self::of(reports, culprits))
    }

    fn of(reports: Vec<Report>, culprits: &[Culprit]) -> Self {
        let mut findings = Self {
            found: culprits.iter().map(|_| Found::default()).collect(),
            accused: Vec::new(),
            tolerated: Vec::new(),
        };
        for report in reports {
            let url = report.request.as_ref().map_or("", |q| q.url.as_str());
            let whose = culprits.iter().position(|c| c.url() == url);
            let verdict = report.verdict.as_ref();
            if let Some((culprit, found)) =
                whose.and_then(|n| Some((culprits.get(n)?, findings.found.get_mut(n)?)))
            {
                found.add(report, culprit);
            } else if verdict.is_some_and(|v| v.role == Role::Culprit) {
                findings.accused.push(report);
            } else if verdict.is_some() {
                findings.tolerated.push(report);
            }
        }
        findings
    }

    /// Whether everybody who should be found is.
    pub(crate) fn is_complete(&self) -> bool {
        let complete = |f: &Found| f.report.is_some() && f.missing.is_empty();
        self.found.iter().all(complete)
    }

    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for report in &self.accused {
            troubles.push(format!("an innocent is accused: {}", shown(report)));
        }
        for (n, found) in self.found.iter().enumerate() {
            let name = format!("culprit {}", n + 1);
            match &found.report {
                None => troubles.push(format!("{name} was not found")),
                Some(report) if !found.missing.is_empty() => troubles.push(format!(
                    "{name}: {}; the line is: {}",
                    found.missing.join("; "),
                    shown(report)
                )),
                Some(_) => {}
            }
            if found.ids.len() > 1 {
                troubles.push(format!("{name} is reported as {:?}", found.ids));
            }
            if found.contradicting > 0 {
                troubles.push(format!(
                    "{name} is accused of something else in {} lines",
                    found.contradicting
                ));
            }
        }
        troubles
    }
}

impl Found {
    fn add(&mut self, report: Report, culprit: &Culprit) {
        self.ids.insert(report.id.clone());
        let Some(verdict) = &report.verdict else {
            return;
        };
        let other = verdict.role == Role::Culprit && verdict.class != culprit.class;
        self.contradicting += usize::from(other);
        let elapsed = report.elapsed_ms;
        self.caught_ms = self.caught_ms.or(elapsed);
        let missing = missing(&report, verdict, culprit);
        if self.report.is_none() || missing.len() < self.missing.len() {
            (self.report, self.missing) = (Some(report), missing);
        }
    }
}

/// What of all that must be said a line does not say.
fn missing(report: &Report, verdict: &Verdict, culprit: &Culprit) -> Vec<String> {
    let request = report.request.clone().unwrap_or_default();
    let place = verdict.culprit.clone().unwrap_or_default();
    let (name, value) = &culprit.parameter;
    let parameter = request.params.query.get(*name);
    let parameter = parameter.or_else(|| request.params.path.get(*name));
    let peer = verdict.peer.clone().unwrap_or_default();
    let peer = peer
        .address
        .and_then(|a| Some(format!("{a}:{}", peer.port?)));
    let file = place.file.unwrap_or_default();
    [
        (
            "class",
            verdict.class == culprit.class,
            verdict.class.to_string(),
        ),
        (
            "role",
            verdict.role == Role::Culprit,
            verdict.role.as_str().into(),
        ),
        (
            "method",
            request.method == culprit.method,
            request.method.clone(),
        ),
        (
            "route",
            request.route.as_deref() == Some(culprit.route),
            format!("{:?}", request.route),
        ),
        (
            "parameter",
            parameter == Some(value),
            format!("{name} = {parameter:?}"),
        ),
        (
            "function",
            place.function == culprit.function,
            place.function,
        ),
        ("file", file.ends_with(culprit.file), file),
        (
            "line",
            place.line == Some(culprit.line),
            format!("{:?}, not {}", place.line, culprit.line),
        ),
        (
            "host",
            peer == culprit.peer.map(|p| p.to_string()),
            format!("{peer:?}"),
        ),
    ]
    .into_iter()
    .filter(|(_, right, _)| !right)
    .map(|(what, _, said)| format!("{what} is {said}"))
    .collect()
}

/// A line of the log in short.
pub(crate) fn shown(report: &Report) -> String {
    let verdict = report.verdict.clone().unwrap_or_default();
    let request = report.request.clone().unwrap_or_default();
    let elapsed = report.elapsed_ms.unwrap_or_default();
    format!(
        "{} {} {} {}, {elapsed:.0} ms: {}",
        verdict.class,
        verdict.role.as_str(),
        request.method,
        request.url,
        verdict.cause
    )
}
