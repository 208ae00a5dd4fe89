//! Calls to other hosts, from the table of peers: those of the whole process, whatever install.

use super::histogram::BOUNDS;
use super::snapshot::{Attribute, Attributes, Buckets, Data, Metric, Number, Point};
use crate::calls::{Counted, counted};

/// Hosts that have series of their own, in the order in which they were first called: who comes later does not push
/// anybody out. The others share one.
const MOST: usize = 200;
/// The address of those that share one.
const OTHERS: &str = "_OTHER";

/// What is known of the calls.
pub(super) fn metrics() -> Vec<Metric> {
    let hosts = counted(MOST, OTHERS, &BOUNDS);
    let (mut calls, mut active) = (Vec::new(), Vec::new());
    let (mut failures, mut phases) = (Vec::new(), Vec::new());
    for host in &hosts {
        let of = attributes(host);
        calls.push(Point::new(of.clone(), Number::Int(host.attempts)));
        let open = host.attempts.saturating_sub(host.ended);
        active.push(Point::new(of.clone(), Number::Int(open)));
        failures.extend(host.failures.iter().map(|(failure, count)| {
            let kind = ("error.type", Attribute::from(failure.as_str()));
            let of = of.iter().cloned().chain([kind]).collect();
            Point::new(of, Number::Int(*count))
        }));
        phases.extend(host.phases.iter().map(|(phase, spread)| {
            let phase = ("redhanded.phase", Attribute::from(phase.as_str()));
            let of = of.iter().cloned().chain([phase]).collect();
            let mut buckets = Buckets::empty(&BOUNDS);
            buckets.counts.clone_from(&spread.counts);
            buckets.sum = spread.sum_s;
            Point::new(of, buckets)
        }));
    }
    vec![
        Metric::new(
            "redhanded.outbound.calls",
            "{call}",
            "Calls to other hosts that were begun.",
            Data::Counter(calls),
        ),
        Metric::new(
            "redhanded.outbound.active_calls",
            "{call}",
            "Calls to other hosts that have not ended.",
            Data::UpDown(active),
        ),
        Metric::new(
            "redhanded.outbound.failures",
            "{call}",
            "Calls to other hosts that failed.",
            Data::Counter(failures),
        ),
        Metric::new(
            "redhanded.outbound.phase.duration",
            "s",
            "How long each phase of calls to other hosts took.",
            Data::Histogram(phases),
        ),
    ]
}

fn attributes(host: &Counted) -> Attributes {
    let address = ("server.address", Attribute::from(&*host.host));
    let port = host
        .port
        .map(|port| ("server.port", Attribute::Int(port.into())));
    [address].into_iter().chain(port).collect()
}
