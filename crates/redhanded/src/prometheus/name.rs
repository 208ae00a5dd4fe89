//! OpenTelemetry's names as Prometheus's
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

use redhanded_core::metrics::{Data, Metric};

/// A metric's name without `_total`, and its unit where Prometheus has a word for it.
pub(super) fn family(metric: &Metric) -> (String, Option<&'static str>) {
    let mut name = label(metric.name);
    let unit = match metric.unit {
        "s" => Some("seconds"),
        "1" if matches!(metric.data, Data::Gauge(_)) => Some("ratio"),
        // What is counted, in braces, is no unit.
        _ => None,
    };
    if let Some(unit) = unit
        && !name.ends_with(&format!("_{unit}"))
    {
        name = format!("{name}_{unit}");
    }
    (name, unit)
}

/// A name of a metric or of a label: letters, digits and underscores.
pub(super) fn label(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut label: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}
