//! The tokio runtimes that poll watched requests, as far as they tell without `tokio_unstable`; those of the whole
//! process.

use super::snapshot::{Attribute, Attributes, Data, Metric, Number, Point};
use crate::runtimes::{self, RuntimeSeen};
use crate::watchdog::blocking_threads;
use crate::worker::Worker;

/// What is known of the runtimes.
pub(super) fn metrics() -> Vec<Metric> {
    let mut workers = Worker::all();
    workers.retain(|worker| worker.thread().is_alive());
    let alive: Vec<u64> = workers.iter().map(|worker| worker.runtime()).collect();
    let mut seen = runtimes::all(&alive);
    seen.sort_by_key(|runtime| runtime.number);
    let each = |value: fn(&RuntimeSeen) -> Number| {
        let point = |runtime: &RuntimeSeen| Point::new(of(runtime), value(runtime));
        seen.iter().map(point).collect::<Vec<_>>()
    };
    let threads = Number::Int(blocking_threads(&workers).into());
    vec![
        Metric::new(
            "redhanded.runtime.workers",
            "{thread}",
            "Worker threads of a tokio runtime, by whether they are parked.",
            Data::UpDown(seen.iter().flat_map(by_state).collect()),
        ),
        Metric::new(
            "redhanded.runtime.busy_time",
            "s",
            "Time that the workers of a tokio runtime have spent on tasks, as far as each has published it.",
            Data::Counter(each(|runtime| Number::Float(runtime.busy_ns as f64 / 1e9))),
        ),
        Metric::new(
            "redhanded.runtime.tasks",
            "{task}",
            "Tasks of a tokio runtime that have not ended.",
            Data::UpDown(each(|runtime| Number::Int(runtime.tasks as u64))),
        ),
        Metric::new(
            "redhanded.runtime.queue_depth",
            "{task}",
            "Tasks in the global queue of a tokio runtime.",
            Data::UpDown(each(|runtime| Number::Int(runtime.queue_depth as u64))),
        ),
        Metric::new(
            "redhanded.runtime.blocking_threads",
            "{thread}",
            "Threads of blocking pools, told by their names; those of a runtime without worker threads are not known.",
            Data::UpDown(vec![Point::new(Vec::new(), threads)]),
        ),
    ]
}

fn of(runtime: &RuntimeSeen) -> Attributes {
    let number = i64::try_from(runtime.number).unwrap_or(i64::MAX);
    vec![("redhanded.runtime", Attribute::Int(number))]
}

/// A worker that stands in a task is busy, too.
fn by_state(runtime: &RuntimeSeen) -> [Point<Number>; 2] {
    let busy = runtime.each.iter().flatten().count() as u64;
    let parked = u64::from(runtime.workers).saturating_sub(busy);
    [("busy", busy), ("parked", parked)].map(|(state, count)| {
        let state = ("redhanded.state", Attribute::from(state));
        let of = of(runtime).into_iter().chain([state]).collect();
        Point::new(of, Number::Int(count))
    })
}
