//! Runs the command, and makes the logs it reads.

use redhanded_report::{
    Class, Confidence, Culprit, Event, How, Outcome, Report, Request, Role, Service, Verdict,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The example record of the vocabulary, which the documentation shows.
pub(crate) const EXAMPLE: &str = include_str!("../../../redhanded-report/fixtures/caught.jsonl");
pub(crate) const EXAMPLE_ID: &str = "01KWE5H2Z8Q4T7N1B6C3D9F0GA";

/// What a run of the command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// The command, in an environment that says nothing about colours.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redhanded"));
    command
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    command
}

/// A directory with logs.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, b"")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Said {
        let mut child = command(self.0.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that does not read its input closes it, and that is its right.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The id of the runaway `number`: its last digits, so that beginnings are shared.
pub(crate) fn id(number: u32) -> String {
    format!("01KWE5H2Z8000000000000{number:04}")
}

/// A catch in `function`, as redhanded writes it.
pub(crate) fn caught(number: u32, function: &str) -> Report {
    let mut report = Report::new(Event::Caught, id(number));
    report.time = format!(
        "2026-07-01T02:{:02}:{:02}.000001Z",
        number / 60 % 60,
        number % 60
    );
    let mut service = Service::default();
    service.name = "app".to_owned();
    service.host = Some("web-1".to_owned());
    service.pid = Some(7);
    report.service = service;
    let mut request = Request::default();
    request.method = "GET".to_owned();
    request.route = Some("/search/{index}".to_owned());
    request.path = "/search/notices".to_owned();
    report.request = Some(request);
    report.elapsed_ms = Some(2000.0);
    let mut verdict = Verdict::new(Class::CpuLoop, Role::Culprit, Confidence::Proved, "on CPU");
    verdict.culprit = Some(Culprit::new(
        function,
        Some("src/a.rs".to_owned()),
        Some(41),
        None,
    ));
    report.verdict = Some(verdict);
    report.fingerprint = Some(format!("{:016x}", function.len()));
    report.occurrences = Some(1);
    report
}

/// The end of that runaway.
pub(crate) fn ended(caught: &Report, total_ms: f64) -> Report {
    let mut report = Report::new(Event::Ended, caught.id.clone());
    report.time.clone_from(&caught.time);
    report.service = caught.service.clone();
    report.request.clone_from(&caught.request);
    report.fingerprint.clone_from(&caught.fingerprint);
    let mut outcome = Outcome::default();
    outcome.how = How::Completed;
    outcome.status = Some(200);
    outcome.total_ms = total_ms;
    report.outcome = Some(outcome);
    report
}

/// One line of a log.
pub(crate) fn line(report: &Report) -> String {
    serde_json::to_string(report).unwrap() + "\n"
}

/// A log of these records.
pub(crate) fn log(reports: &[Report]) -> String {
    reports.iter().map(line).collect()
}
