//! Requests that were caught, by what was said of them.

use super::exemplar::Exemplar;
use super::requests::OVERFLOW;
use super::snapshot::{Attribute, Attributes, Number, Point};
use super::table::{Table, words_of};
use crate::copied::kind;
use crate::redact::printable;
use crate::registry::Fact;
use parking_lot::Mutex;
use redhanded_report::Verdict;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Series that have labels.
const MOST: usize = 500;

/// What was said of a caught request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judged<'a> {
    /// This, with or without a line of its own.
    As(&'a Verdict),
    /// Nothing: its like had been looked at often enough.
    Unlooked,
}

/// Counts of caught requests.
#[derive(Debug)]
pub(crate) struct Runaways {
    series: Table<Count>,
    others: Count,
}

#[derive(Debug, Default)]
struct Count {
    attributes: Attributes,
    count: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

impl Runaways {
    pub(super) fn new() -> Self {
        Self {
            series: Table::new(MOST),
            others: Count {
                attributes: vec![(OVERFLOW, Attribute::Bool(true))],
                ..Count::default()
            },
        }
    }

    /// Counts one whose slot had `copied`. Waits for nobody: the watchdog calls this.
    pub(crate) fn count(&self, copied: &[Fact], judged: Judged<'_>, trace: Option<(&str, &str)>) {
        let attributes = attributes(copied, judged);
        let text: Vec<String> = attributes
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let text = text.join("\0");
        let make = || Count {
            attributes,
            ..Count::default()
        };
        let words = words_of(text.as_bytes());
        let series = self.series.get(text.len() as u64, &words, make);
        let series = series.unwrap_or(&self.others);
        series.count.fetch_add(1, Ordering::Relaxed);
        if let Some((trace_id, span_id)) = trace
            && let Some(mut exemplar) = series.exemplar.try_lock()
        {
            let now = SystemTime::now();
            *exemplar = Some(Exemplar::of_trace(trace_id, span_id, 1.0, now));
        }
    }

    pub(super) fn points(&self) -> Vec<Point<Number>> {
        let counts = self.series.all().map(|entry| &entry.value);
        let counts = counts.chain(Some(&self.others).filter(|others| others.count() > 0));
        let mut points: Vec<_> = counts.map(Count::point).collect();
        points.sort_by(|a, b| a.attributes.cmp(&b.attributes));
        points
    }
}

impl Count {
    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn point(&self) -> Point<Number> {
        let mut point = Point::new(self.attributes.clone(), Number::Int(self.count()));
        point.exemplar.clone_from(&self.exemplar.lock());
        point
    }
}

/// Templates only: neither a path nor a parameter.
fn attributes(copied: &[Fact], judged: Judged<'_>) -> Attributes {
    let (class, role) = match judged {
        Judged::As(verdict) => (verdict.class.to_string(), verdict.role.as_str().to_owned()),
        Judged::Unlooked => ("unlooked".to_owned(), "unlooked".to_owned()),
    };
    let text = |wanted| {
        let fact = copied.iter().find(|fact| fact.kind == wanted)?;
        Some(printable::from_bytes(&fact.bytes))
    };
    let route = text(kind::ROUTE).map(|route| ("http.route", route.into()));
    let job = text(kind::JOB).map(|job| ("redhanded.job", job.into()));
    let said = [
        ("redhanded.class", class.into()),
        ("redhanded.role", role.into()),
    ];
    let mut attributes: Attributes = route.into_iter().chain(job).chain(said).collect();
    attributes.sort_by_key(|(name, _)| *name);
    attributes
}
