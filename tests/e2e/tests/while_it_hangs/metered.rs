//! The service's own numbers, through a real Collector to where a Prometheus fetches them.

use crate::http::Caller;
use crate::servers::Servers;
use crate::toy::Toy;
use crate::wait::{SOON, until};
use redhanded::report::Event;
use std::path::Path;

/// By HTTP and by gRPC, cumulative and as deltas, which the Collector's exporter adds up again.
pub(crate) fn numbers_arrive(servers: &Servers, directory: &Path) {
    std::fs::create_dir(directory).expect("a directory in one of ours");
    let grpc = servers.otlp_grpc();
    for (n, protocol, endpoint, temporality) in [
        (1, "http/protobuf", servers.otlp(), "cumulative"),
        (2, "grpc", grpc, "delta"),
    ] {
        eprintln!("metrics by {protocol}, {temporality}");
        let name = format!("metered-{n}");
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
            (
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                temporality,
            ),
            ("OTEL_SERVICE_NAME", &name),
        ];
        let mut toy = Toy::told(&directory.join(&name), &environment);
        let caller = Caller::new(40 + n);
        let mut open = toy.send("/slow", &caller);
        toy.report(Event::Caught, &caller);
        has(
            servers,
            &name,
            "http_server_active_requests",
            &["http_request_method=\"GET\""],
            " 1",
        );
        for _ in 0..3 {
            assert_eq!(toy.get("/hello"), "hello");
        }
        let of_hello = [
            "http_route=\"/hello\"",
            "http_response_status_code=\"200\"",
            "url_scheme=\"http\"",
        ];
        has(
            servers,
            &name,
            "http_server_request_duration_seconds_count",
            &of_hello,
            " 3",
        );
        has(
            servers,
            &name,
            "redhanded_runaways_total",
            &["http_route=\"/slow\"", "redhanded_class=\"stuck_await\""],
            " 1",
        );
        has(servers, &name, "redhanded_health_ready", &[], " 1");
        toy.get("/release");
        until("it is answered", SOON, || {
            Some(open.answer()).filter(|answer| !answer.is_empty())
        });
        // The bar that it is in leads to its trace.
        let example = [
            "http_route=\"/slow\"",
            "error_type=\"503\"",
            &caller.trace_id,
        ];
        has(
            servers,
            &name,
            "http_server_request_duration_seconds_bucket",
            &example,
            "",
        );
    }
}

/// Waits for a line of the series `name` of `service` with all `parts`, whose value is `ends`.
fn has(servers: &Servers, service: &str, name: &str, parts: &[&str], ends: &str) {
    let service = format!("service_name=\"{service}\"");
    let is_it = |line: &str| {
        let whole = line.split(" # ").next().unwrap_or(line);
        line.starts_with(name)
            && line.contains(&service)
            && parts.iter().all(|part| line.contains(part))
            // Prometheus's exporter may add when it was; and floats have a point there.
            && (whole.ends_with(ends) || whole.contains(&format!("}}{ends}.0")))
    };
    until(&format!("{name} of {service} with {parts:?}"), SOON, || {
        let metrics = servers.metrics();
        metrics.lines().any(is_it).then_some(())
    });
}
