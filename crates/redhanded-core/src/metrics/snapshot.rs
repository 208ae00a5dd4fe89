//! The numbers at one moment, in OpenTelemetry's terms.

use super::exemplar::Exemplar;
use std::time::SystemTime;

/// All metrics of an install at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// In a fixed order; those without a point are left out.
    pub metrics: Vec<Metric>,
    /// When the counting began.
    pub since: SystemTime,
    /// The moment.
    pub at: SystemTime,
    /// Name of the service.
    pub service: redhanded_report::Service,
}

/// One metric.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// As OpenTelemetry writes it, such as `http.server.request.duration`.
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// As UCUM has it: `s`, `1`, or what is counted, such as `{request}`.
    pub unit: &'static str,
    /// The points.
    pub data: Data,
    /// It was asked for at this moment only, and not counted as it happened.
    pub observed: bool,
}

/// The points of a metric.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Data {
    /// Never falls.
    Counter(Vec<Point<Number>>),
    /// May be added up, rises and falls.
    UpDown(Vec<Point<Number>>),
    /// May not be added up.
    Gauge(Vec<Point<Number>>),
    /// How long something took.
    Histogram(Vec<Point<Buckets>>),
}

/// What labels say, in the order of their names.
pub type Attributes = Vec<(&'static str, Attribute)>;

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// One series at that moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Point<V> {
    /// Its labels; no two points of a metric have the same.
    pub attributes: Attributes,
    /// Its value.
    pub value: V,
    /// An example of what was counted; those of a histogram are with its buckets.
    pub exemplar: Option<Exemplar>,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// Counted.
    Int(u64),
    /// Measured.
    Float(f64),
}

/// A histogram with fixed bounds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Buckets {
    /// Upper bounds, each within its bucket.
    pub bounds: &'static [f64],
    /// How many are in each bucket alone; one more than bounds.
    pub counts: Vec<u64>,
    /// Of all values.
    pub sum: f64,
    /// Examples, at most one a bucket, in the order of their buckets.
    pub exemplars: Vec<Exemplar>,
}

impl Buckets {
    pub(super) fn empty(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
            exemplars: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another one with the same bounds has.
    pub(super) fn merge(&mut self, other: Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.sum += other.sum;
        if self.exemplars.is_empty() {
            self.exemplars = other.exemplars;
        }
    }
}

impl Number {
    /// As a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

impl<V> Point<V> {
    pub(super) fn new(mut attributes: Attributes, value: V) -> Self {
        attributes.sort_by_key(|(name, _)| *name);
        Self {
            attributes,
            value,
            exemplar: None,
        }
    }
}

impl Data {
    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counter(points) | Self::UpDown(points) | Self::Gauge(points) => points.is_empty(),
            Self::Histogram(points) => points.is_empty(),
        }
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
        }
    }
}

impl Metric {
    pub(super) fn new(
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        data: Data,
    ) -> Self {
        Self {
            name,
            description,
            unit,
            data,
            observed: true,
        }
    }

    /// It is counted as it happens.
    pub(super) fn counted(mut self) -> Self {
        self.observed = false;
        self
    }
}
