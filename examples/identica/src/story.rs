//! What was caught, as a person wants to read it, or as one line of JSON.

use crate::culprits::Culprit;
use crate::evidence::Evidence;
use crate::visitors::Tally;
use redhanded::Stats;
use redhanded::report::{Report, Style, headline, page};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// Everything there is to tell.
pub(crate) struct Story<'a> {
    pub(crate) culprits: &'a [Culprit],
    pub(crate) evidence: &'a Evidence,
    /// `None`: the visitors did not get all their answers.
    pub(crate) tally: Option<Tally>,
    pub(crate) requests: u64,
    pub(crate) hidden: u64,
    pub(crate) log: &'a str,
    pub(crate) stats: Stats,
    pub(crate) whole: Duration,
}

impl Story<'_> {
    /// What is not as it should be, one line each.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for culprit in self.culprits {
            match self.evidence.about(culprit) {
                None => troubles.push(format!("not caught: {} {}", culprit.method, culprit.target)),
                Some(report) => {
                    troubles.extend(
                        culprit
                            .missing(report)
                            .iter()
                            .map(|what| format!("{}: {what}", culprit.title)),
                    );
                }
            }
        }
        troubles.extend(
            self.evidence
                .accused(self.culprits)
                .map(|r| format!("innocent, but named culprit: {}", headline(r))),
        );
        match &self.tally {
            None => troubles.push("not every ordinary request was answered in time".to_owned()),
            Some(tally) if tally.failed > 0 => {
                troubles.push(format!("{} ordinary requests failed", tally.failed))
            }
            Some(_) => {}
        }
        troubles
    }

    fn caught(&self) -> impl Iterator<Item = (&Culprit, &Report)> {
        let named = |(culprit, report): &(&Culprit, &Report)| culprit.missing(report).is_empty();
        self.culprits
            .iter()
            .filter_map(|c| Some((c, self.evidence.about(c)?)))
            .filter(named)
    }

    /// The pages, and a summary below them.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for (n, culprit) in self.culprits.iter().enumerate() {
            let Some(report) = self.evidence.about(culprit) else {
                continue;
            };
            let title = format!(
                "════ {} of {}: {} ",
                n + 1,
                self.culprits.len(),
                culprit.title
            );
            let _ = writeln!(
                text,
                "{title}{}\n\n{}",
                "═".repeat(90_usize.saturating_sub(title.chars().count())),
                page(report, style)
            );
        }
        let _ = writeln!(text, "{}\n\n{}", "═".repeat(90), self.summary());
        text
    }

    fn summary(&self) -> String {
        let victims: Vec<&Report> = self.evidence.victims().collect();
        let accused = self.evidence.accused(self.culprits).count();
        let mut text = String::new();
        let _ = writeln!(text, "requests   {}", self.sent());
        let _ = writeln!(
            text,
            "caught     {} of {} culprits, named with function and line while they ran",
            self.caught().count(),
            self.culprits.len()
        );
        let _ = writeln!(text, "victims    {}{}", victims.len(), blamed(&victims));
        let _ = writeln!(text, "innocents  {accused} named culprit");
        let _ = writeln!(
            text,
            "log        {} ({} lines, {} reports lost)",
            self.log, self.evidence.lines, self.stats.lost.reports
        );
        let _ = writeln!(text, "took       {:.1} s", self.whole.as_secs_f64());
        let _ = write!(
            text,
            "\nlook at it   jq -r 'select(.verdict) | [.verdict.role, .verdict.class, .verdict.culprit.function, .request.url] | @tsv' {}\n\
             in Jaeger    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run --release -p identica\n\
             by hand      cargo run --release -p identica -- --serve\n",
            self.log
        );
        text
    }

    fn sent(&self) -> String {
        let Some(tally) = &self.tally else {
            return format!("{} wanted, not all were answered", self.requests);
        };
        format!(
            "{} sent in {:.1} s, {:.0} a second; {} answered (the slowest after {:.0} ms), {} failed, {} hang",
            self.requests,
            tally.took.as_secs_f64(),
            rate(tally),
            tally.answered,
            tally.slowest.as_secs_f64() * 1000.0,
            tally.failed,
            self.hidden
        )
    }

    /// The same in one line for machines.
    pub(crate) fn json(&self) -> Value {
        let caught: Vec<Value> = self
            .caught()
            .map(|(culprit, report)| found(culprit, report))
            .collect();
        let victims = self.evidence.victims().map(|r| {
            json!({ "id": r.id, "url": r.request.as_ref().map(|q| &q.url), "victim_of": r.verdict.as_ref().and_then(|v| v.victim_of.as_ref()) })
        });
        let troubles = self.troubles();
        json!({
            "ok": troubles.is_empty(),
            "troubles": troubles,
            "requests": self.requests,
            "answered": self.tally.as_ref().map(|t| t.answered),
            "failed": self.tally.as_ref().map(|t| t.failed),
            "requests_per_second": self.tally.as_ref().map(|t| rate(t).round()),
            "slowest_ms": self.tally.as_ref().map(|t| t.slowest.as_millis()),
            "total_ms": self.whole.as_millis(),
            "caught": caught,
            "victims": victims.collect::<Vec<_>>(),
            "innocents_named_culprit": self.evidence.accused(self.culprits).count(),
            "lost": self.stats.lost,
            "log": self.log,
        })
    }
}

fn rate(tally: &Tally) -> f64 {
    (tally.answered + tally.failed) as f64 / tally.took.as_secs_f64().max(0.001)
}

/// Whose victims they are.
fn blamed(victims: &[&Report]) -> String {
    let mut culprits: Vec<&str> = victims
        .iter()
        .filter_map(|r| r.verdict.as_ref()?.victim_of.as_deref())
        .collect();
    let named = culprits.len();
    culprits.dedup();
    match culprits.as_slice() {
        [] => String::new(),
        [one] if named == victims.len() => {
            format!(", all of {one}: late because of it, and not accused")
        }
        _ => format!(", {named} of them with the culprit that makes them late"),
    }
}

fn found(culprit: &Culprit, report: &Report) -> Value {
    let (verdict, request) = (report.verdict.as_ref(), report.request.as_ref());
    let at = verdict.and_then(|v| v.culprit.as_ref());
    json!({
        "id": report.id,
        "title": culprit.title,
        "class": verdict.map(|v| v.class),
        "role": verdict.map(|v| v.role),
        "confidence": verdict.map(|v| v.confidence),
        "function": at.map(|c| &c.function),
        "file": at.and_then(|c| c.file.as_ref()),
        "line": at.and_then(|c| c.line),
        "route": request.and_then(|r| r.route.as_ref()),
        "url": request.map(|r| &r.url),
        "params": request.map(|r| &r.params),
        "peer": verdict.and_then(|v| v.peer.as_ref()),
        "syscall": report.evidence.as_ref().and_then(|e| e.thread.as_ref()).and_then(|t| t.syscall.as_ref()),
        "elapsed_ms": report.elapsed_ms,
    })
}
