//! The two text formats (<https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use super::Format;
use super::name::{family, label};
use redhanded_core::metrics::{
    Attribute, Attributes, Buckets, Data, Exemplar, Metric, Number, Point, Snapshot,
};
use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

/// `snapshot` as text.
pub(crate) fn render(snapshot: &Snapshot, format: Format) -> String {
    let mut page = Page {
        text: String::with_capacity(16 * 1024),
        open: format == Format::OpenMetrics,
    };
    page.target(snapshot);
    for metric in &snapshot.metrics {
        page.metric(metric);
    }
    if page.open {
        page.put(format_args!("# EOF\n"));
    }
    page.text
}

struct Page {
    text: String,
    open: bool,
}

impl Page {
    fn put(&mut self, text: fmt::Arguments<'_>) {
        // A String takes whatever there is.
        let _ = self.text.write_fmt(text);
    }

    /// Who tells it, as OpenTelemetry's conventions have it.
    fn target(&mut self, snapshot: &Snapshot) {
        let service = &snapshot.service;
        let all = [
            ("service.name", Some(&service.name)),
            ("service.version", service.version.as_ref()),
            ("service.instance.id", service.instance.as_ref()),
            ("host.name", service.host.as_ref()),
        ];
        let told = all
            .into_iter()
            .filter_map(|(name, value)| Some((name, Attribute::Text(value?.clone()))));
        let labels = Labels::of(&told.collect());
        if self.open {
            self.put(format_args!(
                "# TYPE target info\n# HELP target Target metadata\ntarget_info{labels} 1\n"
            ));
        } else {
            self.put(format_args!("# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{labels} 1\n"));
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let (name, unit) = family(metric);
        let help = Help(metric.description);
        match &metric.data {
            Data::Counter(points) => {
                self.head(&name, "counter", unit, help);
                self.numbers(&format!("{name}_total"), points, true);
            }
            Data::UpDown(points) | Data::Gauge(points) => {
                self.head(&name, "gauge", unit, help);
                self.numbers(&name, points, false);
            }
            Data::Histogram(points) => {
                self.head(&name, "histogram", unit, help);
                points.iter().for_each(|point| self.histogram(&name, point));
            }
            // Kinds that are not known here are not told.
            _ => {}
        }
    }

    fn head(&mut self, name: &str, kind: &str, unit: Option<&str>, help: Help<'_>) {
        if self.open {
            self.put(format_args!("# TYPE {name} {kind}\n"));
            if let Some(unit) = unit {
                self.put(format_args!("# UNIT {name} {unit}\n"));
            }
            self.put(format_args!("# HELP {name} {help}\n"));
            return;
        }
        // There a family of counters has the name of its samples.
        let total = if kind == "counter" { "_total" } else { "" };
        self.put(format_args!(
            "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}\n"
        ));
    }

    fn numbers(&mut self, name: &str, points: &[Point<Number>], may_have_exemplar: bool) {
        for point in points {
            let labels = Labels::of(&point.attributes);
            match point.value {
                Number::Int(count) => self.put(format_args!("{name}{labels} {count}")),
                other => self.put(format_args!("{name}{labels} {}", Float(other.as_f64()))),
            }
            self.exemplar(point.exemplar.as_ref().filter(|_| may_have_exemplar));
        }
    }

    fn histogram(&mut self, name: &str, point: &Point<Buckets>) {
        let buckets = &point.value;
        let labels = Labels::of(&point.attributes);
        let (mut sum, mut below) = (0, f64::NEG_INFINITY);
        let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(&buckets.counts) {
            sum += count;
            let is_here = |exemplar: &&Exemplar| exemplar.value > below && exemplar.value <= bound;
            let exemplar = buckets.exemplars.iter().find(is_here);
            let labels = labels.and("le", Float(bound));
            self.put(format_args!("{name}_bucket{labels} {sum}"));
            self.exemplar(exemplar);
            below = bound;
        }
        let total = Float(buckets.sum);
        self.put(format_args!(
            "{name}_sum{labels} {total}\n{name}_count{labels} {sum}\n"
        ));
    }

    /// Ends a line, with an example where the format has room for one.
    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        if let Some(exemplar) = exemplar.filter(|_| self.open) {
            let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.put(format_args!(
                " # {{trace_id=\"{}\",span_id=\"{}\"}} {} {}.{:03}",
                Escaped(&exemplar.trace_id),
                Escaped(&exemplar.span_id),
                Float(exemplar.value),
                at.as_secs(),
                at.subsec_millis()
            ));
        }
        self.put(format_args!("\n"));
    }
}

/// Labels, ready to be written; without braces.
struct Labels(String);

impl Labels {
    fn of(attributes: &Attributes) -> Self {
        let pair = |(name, value): &(&str, Attribute)| {
            let value = value.to_string();
            format!("{}=\"{}\"", label(name), Escaped(&value))
        };
        let pairs: Vec<String> = attributes.iter().map(pair).collect();
        Self(pairs.join(","))
    }

    fn and(&self, name: &str, value: impl fmt::Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        Self(format!("{}{comma}{name}=\"{value}\"", self.0))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{{{}}}", self.0)
    }
}

/// A label's value: backslash, quote and line feed are escaped. Other control characters are none of ours: what comes from
/// outside was made printable before it became a label.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

/// A sentence; ours have nothing that needs escaping in one format and not in the other.
#[derive(Clone, Copy)]
struct Help<'a>(&'a str);

impl fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.0).fmt(f)
    }
}

/// A float as both formats read it; OpenMetrics wants a point in bounds.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n == f64::INFINITY => f.write_str("+Inf"),
            n => write!(f, "{n:?}"),
        }
    }
}
