//! The lesson runs, and its report has what the console does not show.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_report_has_what_is_not_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_story"));
    command
        .current_dir(dir.path())
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("it starts"));
    let console = Arc::new(Mutex::new(String::new()));
    let (stderr, to) = (running.0.stderr.take().expect("piped"), console.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            *to.lock().expect("no panic") += &(line + "\n");
        }
    });
    let printed = || console.lock().expect("no panic").clone();
    let port: u16 = wait_for(|| {
        let said = printed();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("listening on "))?;
        line.parse().ok()
    });
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let request = "GET /users/7/orders HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("21 orders\n"), "{answer}");
    let caught: serde_json::Value = wait_for(|| {
        let log = std::fs::read_to_string(dir.path().join("slow-requests.jsonl")).ok()?;
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.find(|line: &serde_json::Value| line["event"] == "caught")
    });
    let evidence = &caught["evidence"];
    assert_eq!(evidence["spans"][0]["name"], "orders");
    assert_eq!(evidence["spans"][1]["name"], "query");
    assert_eq!(evidence["spans"][1]["fields"]["user"], "7");
    assert_eq!(evidence["events"][0]["text"], "asked for orders");
    let asking = evidence["events"][1]["text"].as_str().expect("text");
    assert!(asking.starts_with("asking sql=select count(*)"), "{asking}");
    wait_for(|| printed().contains("asked for orders").then_some(()));
    assert!(!printed().contains("asking"), "{}", printed());
}
