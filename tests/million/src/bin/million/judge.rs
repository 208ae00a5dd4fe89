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

#[cfg(test)]
mod tests {
    use super::*;
    use redhanded::report::{self, Class, Confidence, Event, Peer, Request};

    fn culprit() -> Culprit {
        Culprit {
            class: Class::SilentPeer,
            method: "GET",
            route: "/stock/{item}",
            target: "/stock/7?warehouse=south".to_owned(),
            request: Vec::new(),
            parameter: ("warehouse", "south".to_owned()),
            function: "shop::stock::ask",
            file: "src/bin/shop/stock.rs",
            line: 73,
            peer: Some(([127, 0, 0, 1], 4000).into()),
        }
    }

    /// The line that says all of it.
    fn line() -> Report {
        let mut verdict = Verdict::new(
            Class::SilentPeer,
            Role::Culprit,
            Confidence::Likely,
            "silence",
        );
        verdict.culprit = Some(report::Culprit::new(
            "shop::stock::ask",
            Some("/home/us/src/bin/shop/stock.rs".to_owned()),
            Some(73),
            None,
        ));
        let mut peer = Peer::default();
        (peer.address, peer.port) = (Some("127.0.0.1".to_owned()), Some(4000));
        verdict.peer = Some(peer);
        let mut request = Request::default();
        request.method = "GET".to_owned();
        request.route = Some("/stock/{item}".to_owned());
        request.url = culprit().url();
        let query = &mut request.params.query;
        query.insert("warehouse".to_owned(), "south".to_owned());
        let mut report = Report::new(Event::Caught, "01A");
        (report.request, report.verdict) = (Some(request), Some(verdict));
        report
    }

    fn troubles(lines: impl IntoIterator<Item = Report>) -> Vec<String> {
        Findings::of(lines.into_iter().collect(), &[culprit()]).troubles()
    }

    fn changed(change: impl Fn(&mut Verdict, &mut Request)) -> Report {
        let mut report = line();
        if let (Some(verdict), Some(request)) = (&mut report.verdict, &mut report.request) {
            change(verdict, request);
        }
        report
    }

    #[test]
    fn who_is_found_is_no_trouble_and_who_is_not_is() {
        assert_eq!(troubles([line()]), [""; 0]);
        assert_eq!(troubles([]), ["culprit 1 was not found"]);
        let mut without_names = line();
        without_names.verdict = Some(Verdict::default());
        assert!(!Findings::of(vec![without_names], &[culprit()]).is_complete());
    }

    #[test]
    fn a_line_that_says_one_thing_wrong_is_trouble() {
        let place = |verdict: &mut Verdict, change: fn(&mut report::Culprit)| {
            verdict.culprit.iter_mut().for_each(change);
        };
        let wrong = [
            changed(|v, _| v.role = Role::Victim),
            changed(|v, _| place(v, |c| c.line = Some(74))),
            changed(|v, _| place(v, |c| c.function = "shop::stock::stock".to_owned())),
            changed(|v, _| place(v, |c| c.file = Some("src/bin/shop/main.rs".to_owned()))),
            changed(|v, _| v.peer.iter_mut().for_each(|p| p.port = Some(4001))),
            changed(|v, _| v.peer = None),
            changed(|_, q| q.params.query.clear()),
            changed(|_, q| q.route = None),
        ];
        for line in wrong {
            assert_eq!(troubles([line.clone()]).len(), 1, "{line:?}");
        }
        // The right line besides it does not help who is accused of something else.
        let other = changed(|v, _| v.class = Class::StuckAwait);
        assert_eq!(troubles([line(), other]).len(), 1);
    }

    #[test]
    fn an_innocent_may_be_a_victim_and_nothing_else() {
        let innocent = |role| changed(move |v, q| (v.role, q.url) = (role, "/hello".to_owned()));
        assert_eq!(troubles([line(), innocent(Role::Culprit)]).len(), 1);
        for role in [Role::Victim, Role::Bystander] {
            assert_eq!(troubles([line(), innocent(role)]), [""; 0]);
        }
    }
}
