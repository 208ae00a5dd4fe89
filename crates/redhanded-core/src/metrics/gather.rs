//! Everything at one moment: what was counted, and what is known elsewhere.

use super::snapshot::{Attribute, Data, Metric, Number, Point, Snapshot};
use super::{Counted, outbound, runtime};
use crate::engine::Engine;
use std::time::SystemTime;

/// What the engine does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outside {
    /// Lines of the log that wait in memory.
    pub(crate) log_waiting: u64,
    /// What sinks had to drop.
    pub(crate) lost_events: u64,
}

/// All metrics of `engine`, which counts from now on if it did not. Looks at every slot in flight and at every host.
pub(crate) fn gather(engine: &'static Engine, outside: Outside) -> Snapshot {
    let counted = engine.start_counting();
    let mut metrics = of_requests(engine, counted);
    metrics.extend(outbound::metrics());
    metrics.extend(of_health(engine));
    metrics.extend(of_watchdog(counted, outside));
    metrics.extend(runtime::metrics());
    metrics.push(blocking_queue(engine));
    metrics.push(lost(engine, counted, outside));
    metrics.retain(|metric| !metric.data.is_empty());
    Snapshot {
        metrics,
        since: counted.since(),
        at: SystemTime::now(),
        service: engine.config().service.clone(),
    }
}

fn of_requests(engine: &'static Engine, counted: &Counted) -> Vec<Metric> {
    let requests = &counted.requests;
    vec![
        Metric::new(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests, to the end of the response body.",
            Data::Histogram(requests.durations()),
        )
        .counted(),
        Metric::new(
            "http.server.active_requests",
            "{request}",
            "Number of active HTTP server requests.",
            Data::UpDown(requests.active(engine.registry.live())),
        ),
        Metric::new(
            "redhanded.runaways",
            "{request}",
            "Requests and jobs that were caught while they ran too long, by what was said of them.",
            Data::Counter(counted.runaways.points()),
        )
        .counted(),
    ]
}

fn of_health(engine: &Engine) -> Vec<Metric> {
    let health = engine.health();
    let is = |yes: bool| Data::Gauge(vec![plain(Number::Int(yes.into()))]);
    let free = f64::from(health.free_workers_percent) / 100.0;
    vec![
        Metric::new(
            "redhanded.health.ready",
            "",
            "1 while this process should be given requests, else 0.",
            is(health.ready),
        ),
        Metric::new(
            "redhanded.health.alive",
            "",
            "1 while this process should be left running, else 0.",
            is(health.alive),
        ),
        Metric::new(
            "redhanded.health.wedged",
            "",
            "1 while workers stand by this process's own doing so that it is not ready, else 0.",
            is(!health.ready && !health.shutting_down),
        ),
        Metric::new(
            "redhanded.health.free_workers",
            "1",
            "Share of the workers that are not held by what stands in this process.",
            Data::Gauge(vec![plain(Number::Float(free))]),
        ),
    ]
}

fn of_watchdog(counted: &Counted, outside: Outside) -> Vec<Metric> {
    let watch = &counted.watch;
    vec![
        Metric::new(
            "redhanded.watchdog.cpu_time",
            "s",
            "CPU time of the watchdog's thread.",
            Data::Counter(vec![plain(Number::Float(watch.cpu_s()))]),
        ),
        Metric::new(
            "redhanded.watchdog.round.duration",
            "s",
            "How long rounds of the watchdog took.",
            Data::Histogram(vec![plain(watch.rounds.read())]),
        )
        .counted(),
        Metric::new(
            "redhanded.watchdog.round.lateness",
            "s",
            "How much later than it meant to the watchdog began its rounds.",
            Data::Histogram(vec![plain(watch.late.read())]),
        )
        .counted(),
        Metric::new(
            "redhanded.log.waiting",
            "{line}",
            "Lines of the slow-request log that wait in memory for the disk.",
            Data::UpDown(vec![plain(Number::Int(outside.log_waiting))]),
        ),
        Metric::new(
            "redhanded.metrics.series",
            "{series}",
            "Series of the duration of requests; there is room for 2000.",
            Data::UpDown(vec![plain(Number::Int(counted.requests.series()))]),
        ),
    ]
}

/// Closures that `redhanded::spawn_blocking` has handed to a pool.
fn blocking_queue(engine: &Engine) -> Metric {
    let waiting = engine.closures.waiting().map_or(0, |w| w.closures);
    Metric::new(
        "redhanded.blocking.waiting",
        "{closure}",
        "Watched closures that no thread of a blocking pool has begun.",
        Data::UpDown(vec![plain(Number::Int(waiting))]),
    )
}

fn lost(engine: &Engine, counted: &Counted, outside: Outside) -> Metric {
    let stats = engine.counts.stats();
    let kinds = [
        ("events", outside.lost_events),
        ("fingerprints", stats.evicted),
        ("internal_errors", stats.internal_errors),
        ("labels", counted.requests.unlabelled()),
        ("metric_exports", engine.meter.lost_exports()),
        ("reports", stats.lost.reports),
        ("requests", stats.unwatched),
        ("stacks", stats.lost.stacks),
    ];
    let point = |(kind, count)| {
        let kind = ("redhanded.kind", Attribute::from(kind));
        Point::new(vec![kind], Number::Int(count))
    };
    Metric::new(
        "redhanded.lost",
        "{item}",
        "What had to be dropped, by kind; all zero in a healthy life.",
        Data::Counter(kinds.into_iter().map(point).collect()),
    )
}

fn plain<V>(value: V) -> Point<V> {
    Point::new(Vec::new(), value)
}
