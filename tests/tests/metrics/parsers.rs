//! The texts as others read them: Prometheus's own tool, OpenMetrics' reference parser, and a real Prometheus with the
//! rules that we advise. Run by `cargo xtask metrics`, which installs them.

use crate::served::scraped;
use crate::text::ask_oddly;
use axum::routing::get;
use redhanded::test_util;
use redhanded_tests::{PATIENCE, Stall, caught, free_port, until};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// What `command` makes of `text`.
fn told(command: &mut Command, text: &str) -> Output {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        child.unwrap_or_else(|e| panic!("{command:?}: {e}; cargo xtask metrics installs it"));
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

async fn texts() -> [String; 2] {
    let (builder, reports) = test_util::builder("app");
    let redhanded = builder.metrics(true).install().expect("an install");
    ask_oddly(&redhanded).await;
    let late = redhanded.request("GET", "/late").route("/la\"te\\");
    let late = late.run(tokio::time::sleep(test_util::SLOW_AFTER * 3));
    late.await;
    assert!(reports.wait_for(PATIENCE, |_| true).is_some() && redhanded.flush(PATIENCE).await);
    let app = axum::Router::new().route("/metrics", get(redhanded.metrics_handler()));
    [
        scraped(&app, "text/plain").await.1,
        scraped(&app, "application/openmetrics-text").await.1,
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask metrics installs what it needs"]
async fn promtool_finds_nothing_wrong() {
    let [plain, _] = texts().await;
    let output = told(Command::new("promtool").args(["check", "metrics"]), &plain);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}\n{plain}"
    );
    let broken = plain.replace(
        "# TYPE http_server_active_requests gauge",
        "# TYPE http_server_active_requests meter",
    );
    assert!(
        !told(Command::new("promtool").args(["check", "metrics"]), &broken)
            .status
            .success()
    );
}

/// Reads standard input strictly, and prints one line of JSON a sample: name, labels, value, exemplar's trace.
const READ: &str = r#"
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as plain
families = list((strict if sys.argv[1] == "openmetrics" else plain)(sys.stdin.read()))
for family in families:
    for sample in family.samples:
        exemplar = getattr(sample, "exemplar", None)
        trace = exemplar.labels["trace_id"] if exemplar else None
        print(json.dumps([family.type, sample.name, sample.labels, sample.value, trace]))
"#;

fn read_by_python(format: &str, text: &str) -> Vec<serde_json::Value> {
    let Some(python) = std::env::var_os("REDHANDED_METRICS_PYTHON") else {
        panic!(
            "REDHANDED_METRICS_PYTHON names no Python with prometheus_client: cargo xtask metrics does"
        );
    };
    let output = told(Command::new(python).args(["-c", READ, format]), text);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{text}");
    let lines = String::from_utf8(output.stdout).expect("JSON");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask metrics installs what it needs"]
async fn the_reference_parsers_read_both_formats_alike() {
    let [plain, open] = texts().await;
    let (plain, open) = (
        read_by_python("plain", &plain),
        read_by_python("openmetrics", &open),
    );
    for samples in [&plain, &open] {
        let late = samples.iter().find(|s| {
            s[1] == "http_server_request_duration_seconds_count"
                && s[2]["http_route"] == "/la\"te\\"
        });
        let late = late.expect("its labels come back as they were");
        assert_eq!(
            (late[0].as_str(), late[3].as_f64()),
            (Some("histogram"), Some(1.0))
        );
        let types: Vec<_> = samples
            .iter()
            .map(|s| s[0].as_str().expect("a type"))
            .collect();
        for wanted in ["counter", "gauge", "histogram"] {
            assert!(types.contains(&wanted), "{wanted} in {types:?}");
        }
        assert!(
            types.iter().all(|t| !matches!(*t, "unknown" | "untyped")),
            "{types:?}"
        );
    }
    let traces = open
        .iter()
        .filter(|s| s[4].as_str().is_some_and(|trace| trace.len() == 32));
    assert!(
        traces
            .clone()
            .any(|s| s[1] == "http_server_request_duration_seconds_bucket")
    );
    assert!(traces.clone().any(|s| s[1] == "redhanded_runaways_total"));
    let names = |samples: &[serde_json::Value]| -> std::collections::BTreeSet<String> {
        samples
            .iter()
            .map(|s| s[1].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names(&plain), names(&open));
}

/// A Prometheus that scrapes every 200 ms; ends with it.
struct Prometheus {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Scrapes `targets`, and judges by the rules that we advise, with their pauses as short as its rounds.
    fn of(targets: &[String]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let rules = std::fs::read_to_string(root().join("prometheus-alerts.yaml")).expect("rules");
        let quick = rules.replace("for: 1m", "for: 0s");
        std::fs::write(dir.path().join("rules.yaml"), quick).expect("it is ours");
        let targets: Vec<String> = targets
            .iter()
            .map(|target| format!("\"{target}\""))
            .collect();
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\nrule_files: [ rules.yaml ]\nscrape_configs: [ {{ job_name: app, static_configs: [ {{ targets: [ {} ] }} ] }} ]\n",
            targets.join(", ")
        );
        let config_path = dir.path().join("prometheus.yaml");
        std::fs::write(&config_path, config).expect("it is ours");
        let port = free_port();
        let said = std::fs::File::create(dir.path().join("said")).expect("it is ours");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config_path.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file"))
            .stderr(said)
            .spawn()
            .expect("prometheus is installed: cargo xtask metrics");
        Self {
            child,
            port,
            _dir: dir,
        }
    }

    /// What its API says at `path`, if it answers.
    fn ask(&self, path: &str) -> Option<serde_json::Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let output = Command::new("curl")
            .args(["-sfg", "--max-time", "5", &url])
            .output()
            .ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until `query` has a result, and gives its first one.
    #[track_caller]
    fn has(&self, query: &str) -> serde_json::Value {
        let found = until(PATIENCE * 2, || {
            let answer = self.ask(&format!("query?query={}", encoded(query)))?;
            let first = answer["data"]["result"].get(0)?.clone();
            Some(first)
        });
        let said = std::fs::read_to_string(self._dir.path().join("said")).unwrap_or_default();
        found.unwrap_or_else(|| panic!("{query} has no result: {:?}\n{said}", self.ask("targets")))
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
#[ignore = "cargo xtask metrics installs what it needs"]
fn a_real_prometheus_scrapes_and_alerts() {
    let args = ["--metrics", "--workers", "1", "--health", "127.0.0.1:0"];
    let stall = Stall::of(&["spin", "late"]).args(&args).start();
    let prometheus = Prometheus::of(&[stall.told("health"), "127.0.0.1:1".to_owned()]);
    prometheus.has("redhanded_health_ready == 1");
    // One that waits and ends: counted, with its trace as an example.
    let mut waits = stall.get("/late/7");
    caught(&stall, "/late/7");
    assert_eq!(waits.status_within(PATIENCE), Some(200));
    let runaways = prometheus.has("redhanded_runaways_total");
    assert_eq!(runaways["metric"]["http_route"], "/late/{id}");
    prometheus.has(
        "http_server_request_duration_seconds_bucket{le=\"2.5\",http_route=\"/late/{id}\"} == 1",
    );
    let example = until(PATIENCE, || {
        let path = format!(
            "query_exemplars?query={}&start=0&end=99999999999",
            encoded("http_server_request_duration_seconds_bucket")
        );
        let answer = prometheus.ask(&path)?;
        answer["data"][0]["exemplars"][0]["labels"]["trace_id"]
            .as_str()
            .map(str::to_owned)
    });
    assert!(example.is_some_and(|trace| trace.len() == 32));
    // One that wedges the process: the rules say so, of a process that answers nobody else.
    let _wedges = stall.get("/spin/42");
    let alert = prometheus.has("ALERTS{alertname=\"RedhandedWedged\",alertstate=\"firing\"}");
    assert!(
        alert["metric"]["instance"]
            .as_str()
            .is_some_and(|i| i.starts_with("127.0.0.1:"))
    );
    prometheus.has("ALERTS{alertname=\"RedhandedRunaway\",alertstate=\"firing\"}");
    assert_eq!(
        stall
            .get("/healthy")
            .status_within(Duration::from_millis(300)),
        None
    );
}

#[test]
#[ignore = "cargo xtask metrics installs what it needs"]
fn the_rules_that_we_advise_hold_in_their_own_tests() {
    let run = |arguments: &[&str]| {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(root())
            .output();
        let output = output.expect("promtool is installed: cargo xtask metrics");
        assert!(output.status.success(), "{output:?}");
    };
    run(&["check", "rules", "prometheus-alerts.yaml"]);
    run(&["test", "rules", "tests/tests/metrics/alerts.yaml"]);
}
