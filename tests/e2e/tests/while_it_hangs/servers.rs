//! The real Collector with the configuration that we ship, and the real Jaeger behind it.

use crate::http;
use crate::process::Process;
use crate::wait::{SOON, until};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the binaries are; made by `cargo xtask e2e`.
pub(crate) struct Binaries {
    collector: PathBuf,
    jaeger: PathBuf,
}

impl Binaries {
    pub(crate) fn collector(&self) -> &Path {
        &self.collector
    }

    pub(crate) fn from_env() -> Option<Self> {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Some(Self {
            collector: path("REDHANDED_E2E_COLLECTOR")?,
            jaeger: path("REDHANDED_E2E_JAEGER")?,
        })
    }
}

/// Both servers on free ports.
pub(crate) struct Servers {
    binaries: Binaries,
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    collector: Process,
    jaeger: Process,
}

impl Servers {
    pub(crate) fn start(binaries: Binaries, directory: &Path) -> Self {
        let environment = environment(directory);
        let configuration = repository().join("otel-collector.yaml");
        let mut validate = Command::new(&binaries.collector);
        validate
            .arg("validate")
            .arg("--config")
            .arg(&configuration)
            .envs(environment.clone());
        let validated = validate.output().expect("the Collector starts");
        let complaints = String::from_utf8_lossy(&validated.stderr).into_owned();
        assert!(
            validated.status.success(),
            "otel-collector.yaml is not valid: {complaints}"
        );

        let jaeger = start_jaeger(&binaries, directory, &environment);
        let collector = start_collector(&binaries, directory, &environment);
        let mut servers = Self {
            binaries,
            directory: directory.to_owned(),
            environment,
            collector,
            jaeger,
        };
        servers.wait_for_both();
        servers
    }

    fn wait_for_both(&mut self) {
        let health = format!("http://{}/status", self.address("REDHANDED_JAEGER_HEALTH"));
        until("Jaeger is ready", SOON, || {
            assert!(!self.jaeger.has_ended(), "Jaeger ended at its start");
            http::get(&health).filter(|(status, _)| *status == 200)
        });
        self.wait_for_collector();
    }

    fn wait_for_collector(&mut self) {
        let traces = format!("{}/v1/traces", self.otlp());
        until("the Collector is ready", SOON, || {
            assert!(
                !self.collector.has_ended(),
                "the Collector ended at its start"
            );
            http::post(&traces, "{}").filter(|status| *status == 200)
        });
    }

    /// `kill -9`.
    pub(crate) fn kill_collector(&mut self) {
        self.collector.kill();
        let traces = format!("{}/v1/traces", self.otlp());
        assert_eq!(http::post(&traces, "{}"), None, "the Collector is dead");
    }

    /// At its old address and with its old queue.
    pub(crate) fn restart_collector(&mut self) {
        self.collector = start_collector(&self.binaries, &self.directory, &self.environment);
        self.wait_for_collector();
    }

    /// Stops it, as `kill -STOP` does: the kernel accepts its connections, and nobody answers.
    pub(crate) fn stop_collector(&self) {
        self.collector.signal("STOP");
    }

    pub(crate) fn continue_collector(&self) {
        self.collector.signal("CONT");
    }

    /// What listens in the dead Collector's place, and answers nothing.
    pub(crate) fn black_hole(&self) -> TcpListener {
        let address = self.address("REDHANDED_COLLECTOR_HTTP");
        TcpListener::bind(address).expect("the Collector's address is free")
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` where the protocol is gRPC.
    pub(crate) fn otlp_grpc(&self) -> String {
        format!("http://{}", self.address("REDHANDED_COLLECTOR_GRPC"))
    }

    /// The metrics that the Collector makes of spans or is sent, as a Prometheus fetches them.
    pub(crate) fn metrics(&self) -> String {
        let url = format!(
            "http://{}/metrics",
            self.address("REDHANDED_COLLECTOR_METRICS")
        );
        // The one that has exemplars.
        http::get_accepting("application/openmetrics-text", &url)
            .map_or_else(String::new, |(_, body)| body)
    }

    /// The Collector's metrics of itself.
    pub(crate) fn telemetry(&self) -> String {
        let port = self.address("REDHANDED_COLLECTOR_TELEMETRY_PORT");
        http::get(&format!("http://127.0.0.1:{port}/metrics"))
            .map_or_else(String::new, |(_, body)| body)
    }

    /// Sends one span of a trace, as some other service would.
    pub(crate) fn send(&self, trace_id: &str, span_id: &str, name: &str, runaway: bool) {
        let attributes = if runaway {
            serde_json::json!([{"key": "runaway", "value": {"boolValue": true}}])
        } else {
            serde_json::json!([])
        };
        send(&self.otlp(), (trace_id, span_id), name, &attributes);
    }

    /// The names of a trace's spans in Jaeger.
    pub(crate) fn trace(&self, trace_id: &str) -> Vec<String> {
        let query = self.address("REDHANDED_JAEGER_QUERY");
        let Some((200, body)) = http::get(&format!("http://{query}/api/traces/{trace_id}")) else {
            return Vec::new();
        };
        let found: Value = serde_json::from_str(&body).expect("Jaeger answers with JSON");
        let spans = found["data"][0]["spans"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        spans
            .into_iter()
            .map(|span| Span(span).name().to_owned())
            .collect()
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn otlp(&self) -> String {
        format!("http://{}", self.address("REDHANDED_COLLECTOR_HTTP"))
    }

    /// The runaways of the toy that a person finds in Jaeger.
    pub(crate) fn runaways(&self) -> Vec<Span> {
        self.runaways_of("toy")
    }

    /// Those of a service.
    pub(crate) fn runaways_of(&self, service: &str) -> Vec<Span> {
        let query = self.address("REDHANDED_JAEGER_QUERY");
        let tags = "%7B%22runaway%22%3A%22true%22%7D";
        let url = format!("http://{query}/api/traces?service={service}&limit=1000&tags={tags}");
        let Some((200, body)) = http::get(&url) else {
            return Vec::new();
        };
        let found: Value = serde_json::from_str(&body).expect("Jaeger answers with JSON");
        let traces = found["data"].as_array().into_iter().flatten();
        traces
            .flat_map(|trace| trace["spans"].as_array().cloned().unwrap_or_default())
            .map(Span)
            .collect()
    }

    fn address(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(key, _)| *key == name);
        found
            .map(|(_, value)| value.as_str())
            .expect("it was given a port")
    }
}

/// Sends one span to a Collector, as some service would.
pub(crate) fn send(otlp: &str, (trace_id, span_id): (&str, &str), name: &str, attributes: &Value) {
    let span = serde_json::json!({
        "traceId": trace_id, "spanId": span_id, "name": name, "kind": 2, "attributes": attributes,
        "startTimeUnixNano": "1782871384000000000", "endTimeUnixNano": "1782871384001000000",
    });
    let service = serde_json::json!([{"key": "service.name", "value": {"stringValue": "other"}}]);
    let request = serde_json::json!({"resourceSpans": [{
        "resource": {"attributes": service}, "scopeSpans": [{"spans": [span]}],
    }]});
    let url = format!("{otlp}/v1/traces");
    assert_eq!(http::post(&url, &request.to_string()), Some(200));
}

fn start_jaeger(binaries: &Binaries, directory: &Path, environment: &[(&str, String)]) -> Process {
    let mut jaeger = Command::new(&binaries.jaeger);
    jaeger
        .arg("--config")
        .arg(repository().join("tests/servers/jaeger.yaml"));
    Process::start(
        "jaeger",
        jaeger.envs(environment.iter().cloned()),
        directory,
    )
}

fn start_collector(
    binaries: &Binaries,
    directory: &Path,
    environment: &[(&str, String)],
) -> Process {
    let mut collector = Command::new(&binaries.collector);
    collector
        .arg("--config")
        .arg(repository().join("otel-collector.yaml"));
    // What is shipped, in less time.
    for quicker in [
        "processors::tail_sampling::decision_wait: 1s",
        "connectors::spanmetrics::metrics_flush_interval: 500ms",
    ] {
        collector.arg("--config").arg(format!("yaml:{quicker}"));
    }
    Process::start(
        "collector",
        collector.envs(environment.iter().cloned()),
        directory,
    )
}

/// Free addresses of all listeners, and a directory for the queue.
pub(crate) fn environment(directory: &Path) -> Vec<(&'static str, String)> {
    const ADDRESSES: [&str; 8] = [
        "REDHANDED_COLLECTOR_GRPC",
        "REDHANDED_COLLECTOR_HTTP",
        "REDHANDED_COLLECTOR_METRICS",
        "REDHANDED_JAEGER_OTLP",
        "REDHANDED_JAEGER_OTLP_HTTP",
        "REDHANDED_JAEGER_QUERY",
        "REDHANDED_JAEGER_QUERY_GRPC",
        "REDHANDED_JAEGER_HEALTH",
    ];
    const PORTS: [&str; 2] = [
        "REDHANDED_COLLECTOR_TELEMETRY_PORT",
        "REDHANDED_JAEGER_TELEMETRY_PORT",
    ];
    let bind = |name| (name, TcpListener::bind("127.0.0.1:0").expect("a free port"));
    // All at once, so that no two are the same.
    let listeners: Vec<_> = ADDRESSES.into_iter().chain(PORTS).map(bind).collect();
    let said = |(name, listener): &(&'static str, TcpListener)| {
        let address = listener.local_addr().expect("it is bound");
        let port_only = PORTS.contains(name);
        (
            *name,
            if port_only {
                address.port().to_string()
            } else {
                address.to_string()
            },
        )
    };
    let storage = directory.join("collector-queue").display().to_string();
    listeners
        .iter()
        .map(said)
        .chain([("REDHANDED_COLLECTOR_STORAGE", storage)])
        .collect()
}

pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A span as Jaeger's query API shows it.
#[derive(Debug)]
pub(crate) struct Span(Value);

impl Span {
    pub(crate) fn name(&self) -> &str {
        self.0["operationName"].as_str().unwrap_or_default()
    }

    pub(crate) fn trace_id(&self) -> &str {
        self.0["traceID"].as_str().unwrap_or_default()
    }

    pub(crate) fn span_id(&self) -> &str {
        self.0["spanID"].as_str().unwrap_or_default()
    }

    pub(crate) fn parent_span_id(&self) -> &str {
        self.0["references"][0]["spanID"]
            .as_str()
            .unwrap_or_default()
    }

    /// A tag as text; numbers and booleans too.
    pub(crate) fn tag(&self, key: &str) -> String {
        let tags = self.0["tags"].as_array().into_iter().flatten();
        let value = tags
            .filter(|tag| tag["key"] == key)
            .map(|tag| &tag["value"])
            .next();
        match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}
