//! Metrics of a real engine on their way to a collector.

use crate::collector::{Collector, Received, Say, text, values};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric,
};
use prost::Message;
use redhanded_core::{BodyStage, Config, Installed, Log, install};
use redhanded_otlp::metrics::MetricsExport;
use redhanded_report::Service;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

fn installed() -> Installed {
    let mut config = Config::new("shop");
    config.slow_after = Duration::from_secs(60);
    config.log = Log::Nowhere;
    config.metrics = true;
    install(config, Vec::new()).unwrap().0
}

fn serve(installed: &Installed, route: &str, status: u16) {
    let mut ticket = installed.engine().open(None, |copy| {
        copy.method("GET");
        copy.target("/x");
        copy.route(route);
    });
    ticket.responded(status, Some(0), BodyStage::Sized);
}

/// An export of `installed` as `env` wants it; and how often something was lost.
fn export(installed: &Installed, env: &[(&str, &str)]) -> (MetricsExport, Arc<AtomicU64>) {
    let lost = Arc::<AtomicU64>::default();
    let counts = Arc::clone(&lost);
    let count = move |_| {
        counts.fetch_add(1, Ordering::SeqCst);
    };
    (export_telling(installed, env, count), lost)
}

fn export_telling(
    installed: &Installed,
    env: &[(&str, &str)],
    lost: impl Fn(Option<String>) + Send + 'static,
) -> MetricsExport {
    let find = |name: &str| {
        env.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| (*v).to_owned())
    };
    let configured = MetricsExport::from_env(find);
    assert_eq!(configured.warnings, [""; 0]);
    let numbers = installed.numbers().clone();
    let mut service = Service::default();
    service.name = "shop".to_owned();
    let plan = configured.plan.unwrap();
    plan.start(&service, move || numbers.snapshot(), lost)
        .unwrap()
}

fn request(received: &Received) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(&received.raw[..]).unwrap()
}

fn find(received: &Received, name: &str) -> Metric {
    let request = request(received);
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    metrics
        .iter()
        .find(|metric| metric.name == name)
        .unwrap()
        .clone()
}

fn durations(received: &Received) -> (i32, Vec<HistogramDataPoint>) {
    match find(received, "http.server.request.duration").data.unwrap() {
        metric::Data::Histogram(it) => (it.aggregation_temporality, it.data_points),
        other => panic!("{other:?}"),
    }
}

fn sum(received: &Received, name: &str) -> (i32, bool, Vec<NumberDataPoint>) {
    match find(received, name).data.unwrap() {
        metric::Data::Sum(it) => (it.aggregation_temporality, it.is_monotonic, it.data_points),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_counted_arrives() {
    let (collector, installed) = (Collector::ok(), installed());
    let (export, lost) = export(
        &installed,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)],
    );
    serve(&installed, "/a/{id}", 200);
    serve(&installed, "/a/{id}", 200);
    assert!(export.flush(PATIENCE));
    let received = &collector.requests()[0];
    assert_eq!(received.line, "POST /v1/metrics HTTP/1.1");
    let request = request(received);
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    assert_eq!(values(&resource.attributes)["service.name"], text("shop"));
    let scope = request.resource_metrics[0].scope_metrics[0]
        .scope
        .as_ref()
        .unwrap();
    assert_eq!(scope.name, "redhanded");
    let (temporality, points) = durations(received);
    assert_eq!(temporality, AggregationTemporality::Cumulative as i32);
    let [point] = &points[..] else {
        panic!("{points:?}")
    };
    assert_eq!(
        (
            point.count,
            point.bucket_counts.len(),
            point.explicit_bounds.len()
        ),
        (2, 15, 14)
    );
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 2);
    assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano);
    let labels = values(&point.attributes);
    assert_eq!(labels["http.route"], text("/a/{id}"));
    assert_eq!(
        labels["http.response.status_code"],
        opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(200)
    );
    let (_, monotonic, _) = sum(received, "http.server.active_requests");
    assert!(!monotonic);
    assert_eq!(lost.load(Ordering::SeqCst), 0);
}

#[test]
fn every_interval_one_comes_by_itself() {
    let (collector, installed) = (Collector::ok(), installed());
    let env = [
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            &*(collector.url.clone() + "/own/path"),
        ),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "k=v"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
    ];
    // An endpoint of its own is taken as it is; the double tells metrics by their usual path.
    let env = env.map(|(name, value)| (name, value.replace("/own/path", "/v1/metrics?own")));
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, &**value)).collect();
    let (_export, _) = export(&installed, &env);
    let until = Instant::now() + PATIENCE;
    while collector.requests().len() < 3 {
        assert!(
            Instant::now() < until,
            "{} came",
            collector.requests().len()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let received = &collector.requests()[0];
    assert_eq!(received.line, "POST /v1/metrics?own HTTP/1.1");
    assert_eq!(
        (
            received.headers["k"].as_str(),
            received.headers["content-encoding"].as_str()
        ),
        ("v", "gzip")
    );
}

#[test]
fn deltas_tell_what_is_new_and_lose_nothing_that_did_not_arrive() {
    let script = vec![
        Say::Status(200, "", vec![]),
        Say::Status(503, "", vec![]),
        Say::Raw(b"garbage\r\n\r\n"),
    ];
    let (collector, installed) = (Collector::saying(script), installed());
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
    ];
    let (export, lost) = export(&installed, &env);
    serve(&installed, "/a", 200);
    assert!(export.flush(PATIENCE), "taken");
    serve(&installed, "/a", 200);
    serve(&installed, "/a", 200);
    assert!(!export.flush(PATIENCE), "503");
    serve(&installed, "/a", 200);
    assert!(!export.flush(PATIENCE), "garbage");
    assert!(export.flush(PATIENCE), "taken");
    assert!(export.flush(PATIENCE), "taken");
    assert_eq!(lost.load(Ordering::SeqCst), 2);
    let received = collector.requests();
    let counts: Vec<u64> = received.iter().map(|r| durations(r).1[0].count).collect();
    assert_eq!(counts, [1, 2, 3, 3, 0]);
    let (temporality, points) = durations(&received[3]);
    assert_eq!(temporality, AggregationTemporality::Delta as i32);
    let first = &durations(&received[0]).1[0];
    assert_eq!(
        points[0].start_time_unix_nano, first.time_unix_nano,
        "since the last that arrived"
    );
    let (temporality, _, _) = sum(&received[3], "http.server.active_requests");
    assert_eq!(temporality, AggregationTemporality::Cumulative as i32);
    let (temporality, monotonic, _) = sum(&received[3], "redhanded.lost");
    assert_eq!(
        (temporality, monotonic),
        (AggregationTemporality::Delta as i32, true)
    );
}

#[test]
fn low_memory_keeps_what_is_only_looked_at_cumulative() {
    let (collector, installed) = (Collector::ok(), installed());
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "lowmemory",
        ),
    ];
    let (export, _) = export(&installed, &env);
    serve(&installed, "/a", 200);
    assert!(export.flush(PATIENCE));
    let received = &collector.requests()[0];
    assert_eq!(durations(received).0, AggregationTemporality::Delta as i32);
    assert_eq!(
        sum(received, "redhanded.lost").0,
        AggregationTemporality::Cumulative as i32
    );
}

#[test]
fn a_collector_that_is_away_is_asked_once_an_interval_and_what_is_lost_is_counted() {
    let refusals = vec![Say::Status(503, "", vec![]); 1_000];
    let (collector, installed) = (Collector::saying(refusals), installed());
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let (export, lost) = export(&installed, &env);
    let begun = Instant::now();
    while lost.load(Ordering::SeqCst) < 5 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let intervals = begun.elapsed().as_millis() / 100 + 1;
    let asked = collector.requests().len() as u128;
    assert!(
        asked <= intervals,
        "{asked} requests in {intervals} intervals"
    );
    drop(export);
}

#[test]
fn who_asks_for_patience_gets_it() {
    let script = vec![Say::Status(429, "Retry-After: 60\r\n", vec![])];
    let (collector, installed) = (Collector::saying(script), installed());
    let (export, lost) = export(
        &installed,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)],
    );
    for _ in 0..5 {
        assert!(!export.flush(PATIENCE));
    }
    assert_eq!(
        (collector.requests().len(), lost.load(Ordering::SeqCst)),
        (1, 5)
    );
}

#[test]
fn a_refusal_is_named_once() {
    let collector = Collector::saying(vec![Say::Status(403, "", vec![]); 3]);
    let installed = installed();
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str())];
    let said = Arc::<Mutex<Vec<Option<String>>>>::default();
    let hear = Arc::clone(&said);
    let export = export_telling(&installed, &env, move |why| hear.lock().unwrap().push(why));
    for _ in 0..3 {
        assert!(!export.flush(PATIENCE));
    }
    let said = said.lock().unwrap();
    let [Some(why), None, None] = &said[..] else {
        panic!("{said:?}")
    };
    for part in [
        "metrics were refused",
        "/v1/metrics",
        "HTTP 403 Forbidden",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ] {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn what_refuses_rejects_or_redirects_is_counted_and_not_asked_again_at_once() {
    let rejected_points = vec![0x0a, 0x02, 0x08, 0x03];
    let script = vec![
        Say::Status(404, "", vec![]),
        Say::Status(400, "", vec![]),
        Say::Status(302, "Location: http://127.0.0.1:1/\r\n", vec![]),
        Say::Status(200, "", rejected_points),
    ];
    let (collector, installed) = (Collector::saying(script), installed());
    let (export, lost) = export(
        &installed,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)],
    );
    for _ in 0..4 {
        assert!(!export.flush(PATIENCE));
    }
    assert!(export.flush(PATIENCE));
    assert_eq!(
        (collector.requests().len(), lost.load(Ordering::SeqCst)),
        (5, 4)
    );
}

#[test]
fn a_collector_that_says_nothing_holds_up_nobody() {
    let (collector, installed) = (Collector::saying(vec![Say::Silence]), installed());
    let (export, _) = export(
        &installed,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)],
    );
    let begun = Instant::now();
    assert!(!export.flush(Duration::from_millis(200)));
    drop(export);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn values_that_say_nothing_are_named_with_what_is_accepted() {
    let configured = |wanted: &'static str, value: &'static str| {
        MetricsExport::from_env(move |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://127.0.0.1:1".to_owned()),
            _ => (name == wanted).then(|| value.to_owned()),
        })
    };
    for (name, value, accepted) in [
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "100 to 86400000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "100 to 86400000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "100 to 86400000"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "both",
            "cumulative, delta and lowmemory",
        ),
        ("OTEL_METRICS_EXPORTER", "statsd", "otlp and none"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "never",
            "from 1 to 60000",
        ),
    ] {
        let configured = configured(name, value);
        assert!(configured.plan.is_ok(), "{name} is ignored");
        let [warning] = &configured.warnings[..] else {
            panic!("{:?}", configured.warnings)
        };
        for part in [name, value, accepted] {
            assert!(warning.contains(part), "{warning} lacks {part}");
        }
    }
    for (value, warned) in [
        ("none", 0),
        ("otlp,none", 0),
        ("prometheus", 1),
        ("console", 1),
    ] {
        let configured = configured("OTEL_METRICS_EXPORTER", value);
        let why = configured.plan.err().unwrap();
        assert!(why.contains("OTEL_METRICS_EXPORTER"), "{why}");
        assert_eq!(configured.warnings.len(), warned, "{value}");
    }
    assert!(
        configured("OTEL_METRICS_EXPORTER", "prometheus,otlp")
            .plan
            .is_ok()
    );
    assert!(configured("OTEL_SDK_DISABLED", "true").plan.is_err());
    assert!(MetricsExport::from_env(|_| None).plan.is_err());
}
