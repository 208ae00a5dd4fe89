//! Each lesson runs, and catches what it is about.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &str, dir: &Path) -> Running {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .stderr(Stdio::piped());
    Running(command.spawn().expect("it starts"))
}

/// The port that it says it listens on.
fn port(running: &mut Running) -> u16 {
    let stderr = running.0.stderr.take().expect("piped");
    let mut lines = BufReader::new(stderr).lines();
    let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let rest = line.strip_prefix("listening on ")?;
        rest.split(';').next()?.parse().ok()
    });
    // What it says later is to be read as well: a full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    found.expect("it says where")
}

fn get(port: u16, target: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The first line of the slow-request log that fits.
fn line(dir: &Path, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = std::fs::read_to_string(dir.join("slow-requests.jsonl")).unwrap_or_default();
        let records = log.lines().filter_map(|l| serde_json::from_str(l).ok());
        if let Some(found) = records.into_iter().find(|r| fits(r)) {
            return found;
        }
        assert!(Instant::now() < until, "no such line in\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_server_catches(program: &str, knows_client: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut running = start(program, dir.path());
    let port = port(&mut running);
    assert!(get(port, "/slow?q=needle").starts_with("HTTP/1.1 200"));
    let record = line(dir.path(), |r| r["event"] == "caught");
    assert_eq!(record["request"]["path"], "/slow");
    assert_eq!(record["request"]["params"]["query"]["q"], "needle");
    assert_eq!(record["request"]["client"].is_string(), knows_client);
    line(dir.path(), |r| r["outcome"]["how"] == "completed");
}

#[test]
fn bare_hyper() {
    a_server_catches(env!("CARGO_BIN_EXE_bare_hyper"), true);
}

#[test]
fn guard() {
    a_server_catches(env!("CARGO_BIN_EXE_guard"), true);
}

#[test]
fn numbers() {
    let program = env!("CARGO_BIN_EXE_numbers");
    let output = Command::new(program)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .output()
        .expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"http_server_request_duration_seconds_count{error_type="503",http_request_method="GET",http_response_status_code="503",http_route="/notice/{id}",url_scheme="http"} 1"#,
            r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/notice/{id}",url_scheme="http"} 3"#,
        ]
    );
}

#[test]
fn websocket() {
    a_server_catches(env!("CARGO_BIN_EXE_websocket"), true);
}

#[test]
fn worker() {
    let dir = tempfile::tempdir().expect("a directory");
    let running = start(env!("CARGO_BIN_EXE_worker"), dir.path());
    let record = line(dir.path(), |r| r["verdict"]["class"] == "blocked_thread");
    assert_eq!(record["request"]["method"], "JOB");
    assert_eq!(record["request"]["params"]["job"]["notice"], "41");
    let culprit = record["verdict"]["culprit"]["function"].as_str();
    assert!(
        culprit.is_some_and(|f| f.starts_with("worker::deliver")),
        "{culprit:?}"
    );
    drop(running);
}
