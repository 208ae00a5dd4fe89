//! What `otel-collector.yaml` does with spans that are no runaways.

use crate::servers::Servers;
use crate::wait::{SOON, until};

/// Of a trace that sampling drops; one in a hundred is kept, by its id.
const DROPPED: &str = "4bf92f3577b34da6a3ce929d0e0e4801";
/// Of another, for the same.
const ALSO_DROPPED: &str = "4bf92f3577b34da6a3ce929d0e0e4802";

/// A number of the Collector's own metrics: the sum of the series of `name` whose labels have `label`.
pub(crate) fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label));
    // An exemplar may follow the value.
    let value = |line: &str| {
        line.rsplit_once("} ")?
            .1
            .split(' ')
            .next()?
            .parse::<f64>()
            .ok()
    };
    let whole = lines.map(|line| line.split(" # ").next().unwrap_or(line));
    whole.filter_map(value).sum()
}

/// The decision about a trace is made, and it is dropped: a marker that comes then is in Jaeger all the same.
pub(crate) fn a_late_marker_is_kept(servers: &Servers) {
    eprintln!("a marker that comes after the decision");
    let decided = || {
        let name = "otelcol_processor_tail_sampling_global_count_traces_sampled";
        let decisions = sum(&servers.telemetry(), name, "sampled=\"false\"");
        let other = sum(&servers.telemetry(), name, "decision=\"not_sampled\"");
        decisions.max(other)
    };
    let before = decided();
    servers.send(DROPPED, "00f067aa0ba90201", "ordinary", false);
    servers.send(ALSO_DROPPED, "00f067aa0ba90202", "ordinary", false);
    until("both traces are dropped", SOON, || {
        (decided() >= before + 2.0).then_some(())
    });
    servers.send(DROPPED, "00f067aa0ba90203", "redhanded.caught", true);
    let names = until("the marker is in Jaeger", SOON, || {
        Some(servers.trace(DROPPED)).filter(|names| !names.is_empty())
    });
    assert_eq!(
        names,
        ["redhanded.caught"],
        "the rest of its trace was dropped"
    );
    assert_eq!(servers.trace(ALSO_DROPPED), [""; 0]);
}

/// What sampling dropped is in the metrics, and so is what it never sees.
pub(crate) fn all_spans_are_counted(servers: &Servers) {
    eprintln!("metrics of all spans");
    let calls = |name: &str| {
        let metrics = servers.metrics();
        sum(
            &metrics,
            "traces_span_metrics_calls_total{",
            &format!("span_name=\"{name}\""),
        )
    };
    // The Collector was restarted since the others came.
    until("the dropped ones are counted", SOON, || {
        (calls("ordinary") >= 2.0).then_some(())
    });
    assert!(calls("redhanded.caught") >= 1.0, "{}", servers.metrics());
}
