//! An agent with `otel-collector-agent.yaml` before two gateways with `otel-collector.yaml`, as both are shipped.

use crate::http;
use crate::process::Process;
use crate::sampling::sum;
use crate::servers::{Binaries, environment, repository, send};
use crate::wait::{SOON, until};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two for each first digit.
const TRACES: u32 = 32;
const SPANS: u32 = 3;

/// A Collector on free ports.
struct Collector {
    name: &'static str,
    binary: PathBuf,
    directory: PathBuf,
    /// What it is told by `--config`.
    config: Vec<String>,
    environment: Vec<(&'static str, String)>,
    process: Process,
}

impl Collector {
    fn start(
        binaries: &Binaries,
        (name, file): (&'static str, &str),
        changes: &[&str],
        directory: &Path,
        more: &[(&'static str, String)],
    ) -> Self {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).expect("a directory in one of ours");
        let mut environment = environment(&directory);
        environment.extend_from_slice(more);
        let mut config = vec![repository().join(file).display().to_string()];
        let run = |subcommand: &[&str], config: &[String]| {
            let mut command = Command::new(binaries.collector());
            command.args(subcommand).envs(environment.iter().cloned());
            command.args(config.iter().flat_map(|c| ["--config", c.as_str()]));
            command
        };
        let validated = run(&["validate"], &config).output();
        let validated = validated.expect("the Collector starts");
        let complaints = String::from_utf8_lossy(&validated.stderr);
        assert!(validated.status.success(), "{file}: {complaints}");
        config.extend(changes.iter().map(|change| format!("yaml:{change}")));
        let process = Process::start(name, &mut run(&[], &config), &directory);
        let mut started = Self {
            name,
            binary: binaries.collector().to_owned(),
            directory,
            config,
            environment,
            process,
        };
        started.wait();
        started
    }

    /// After `kill -9`, with its old addresses.
    fn start_again(&mut self) {
        let mut command = Command::new(&self.binary);
        command.args(self.config.iter().flat_map(|c| ["--config", c.as_str()]));
        command.envs(self.environment.iter().cloned());
        self.process = Process::start(self.name, &mut command, &self.directory);
        self.wait();
    }

    fn wait(&mut self) {
        let traces = format!("{}/v1/traces", self.otlp());
        until(self.name, SOON, || {
            assert!(!self.process.has_ended(), "{} ended", self.name);
            http::post(&traces, "{}").filter(|status| *status == 200)
        });
    }

    fn address(&self, name: &str) -> String {
        let found = self.environment.iter().find(|(key, _)| *key == name);
        found.expect("it was given a port").1.clone()
    }

    fn otlp(&self) -> String {
        format!("http://{}", self.address("REDHANDED_COLLECTOR_HTTP"))
    }

    /// How many spans of this name it has counted; none while it is dead.
    fn counted(&self, span: &str) -> f64 {
        let url = format!(
            "http://{}/metrics",
            self.address("REDHANDED_COLLECTOR_METRICS")
        );
        let metrics = http::get(&url).map_or_else(String::new, |(_, body)| body);
        let label = format!("span_name=\"{span}\"");
        sum(&metrics, "traces_span_metrics_calls_total{", &label)
    }
}

fn name(trace: u32) -> String {
    format!("trace-{trace}")
}

pub(crate) fn each_trace_is_in_one_place(binaries: &Binaries, directory: &Path) {
    // What is shipped, in less time.
    let quicker = ["connectors::spanmetrics::metrics_flush_interval: 500ms"];
    let gateway = |name| {
        let shipped = (name, "otel-collector.yaml");
        Collector::start(binaries, shipped, &quicker, directory, &[])
    };
    let (a, mut b) = (gateway("gateway-a"), gateway("gateway-b"));
    let grpc = |gateway: &Collector| gateway.address("REDHANDED_COLLECTOR_GRPC");
    let gateways = [
        ("REDHANDED_GATEWAY_A", grpc(&a)),
        ("REDHANDED_GATEWAY_B", grpc(&b)),
    ];
    let shipped = ("agent", "otel-collector-agent.yaml");
    let agent = Collector::start(binaries, shipped, &[], directory, &gateways);
    // The first spans come while one of them is dead: the agent takes them, and keeps them.
    b.process.kill();
    for span in 0..SPANS {
        for trace in 0..TRACES {
            let trace_id = format!("{:x}{:031x}", trace % 16, trace + 1);
            let span_id = format!("00f067aa{:04x}{:04x}", trace, span + 1);
            let none = serde_json::json!([]);
            send(&agent.otlp(), (&trace_id, &span_id), &name(trace), &none);
        }
        if span == 0 {
            b.start_again();
        }
    }
    let both = |trace| (a.counted(&name(trace)), b.counted(&name(trace)));
    until("all spans are in the gateways", SOON * 2, || {
        let whole = |trace| both(trace).0 + both(trace).1 >= f64::from(SPANS);
        (0..TRACES).all(whole).then_some(())
    });
    for trace in 0..TRACES {
        let all = f64::from(SPANS);
        let expected = if trace % 16 < 8 {
            (all, 0.0)
        } else {
            (0.0, all)
        };
        assert_eq!(both(trace), expected, "{}", name(trace));
    }
}
