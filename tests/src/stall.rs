//! The process that hangs.

use crate::client::{self, Asked};
use crate::{PATIENCE, until};
use redhanded::report::Report;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a stall is to be started.
#[derive(Debug)]
pub struct Start {
    command: Command,
    dir: tempfile::TempDir,
    log: PathBuf,
}

/// A running stall; dropping it ends its process.
#[derive(Debug)]
pub struct Stall {
    child: Child,
    port: u16,
    log: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let here = test
        .ancestors()
        .nth(2)
        .expect("cargo keeps tests two levels down");
    here.join("stall")
}

impl Stall {
    /// A process that serves the stalls `names`, each at `/NAME/{id}`.
    pub fn of(names: &[&str]) -> Start {
        Start::new(Command::new(program()), names)
    }

    /// A process of another program, which serves what hangs in the same way: it says `port N`, and
    /// takes `--log PATH`.
    pub fn of_command(command: Command) -> Start {
        Start::new(command, &[])
    }

    /// The same behind a shell script that ends in `exec "$@"`, in a mount namespace of its own;
    /// `None` where that is not allowed.
    pub fn of_in_namespace(names: &[&str], script: &str) -> Option<Start> {
        let may = Command::new("unshare")
            .args(["-m", "true"])
            .stderr(Stdio::null())
            .status();
        if !may.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-ec", script, "sh"])
            .arg(program());
        Some(Start::new(command, names))
    }

    /// The same behind a shell script that ends in `exec "$@"`.
    pub fn behind(names: &[&str], script: &str) -> Start {
        let mut command = Command::new("sh");
        command.args(["-ec", script, "sh"]).arg(program());
        Start::new(command, names)
    }

    /// Sends `GET target`.
    pub fn get(&self, target: &str) -> Asked {
        self.send(client::get(target).as_bytes())
    }

    /// Sends bytes on a connection of their own.
    pub fn send(&self, bytes: &[u8]) -> Asked {
        Asked::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).send(bytes)
    }

    /// Asserts that this process answers another request.
    #[track_caller]
    pub fn is_well(&self) {
        let status = self.get("/healthy").status_within(PATIENCE);
        assert_eq!(
            status,
            Some(200),
            "a healthy route is answered; the process said:\n{}",
            self.stderr()
        );
    }

    /// What the process counts; see `/stats` of the binary.
    #[track_caller]
    pub fn stats(&self) -> serde_json::Value {
        let body = self
            .get("/stats")
            .body_within(PATIENCE)
            .expect("/stats is answered");
        serde_json::from_str(&body).expect("/stats is JSON")
    }

    /// Asserts that a count becomes `wanted`.
    #[track_caller]
    pub fn counts(&self, name: &str, wanted: u64) {
        let mut last = serde_json::Value::Null;
        let found = until(PATIENCE, || {
            last = self.stats();
            (last[name].as_u64() == Some(wanted)).then_some(())
        });
        assert!(found.is_some(), "{name} should become {wanted}: {last}");
    }

    /// The value that the process has told under `key`.
    #[track_caller]
    pub fn told(&self, key: &str) -> String {
        let value = until(PATIENCE, || {
            let told = self.told.lock().expect("no panic");
            told.iter()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned))
        });
        value
            .unwrap_or_else(|| panic!("{key} was never told; the process said:\n{}", self.stderr()))
    }

    /// Whether the process has told something under `key` so far.
    pub fn has_told(&self, key: &str) -> bool {
        let told = self.told.lock().expect("no panic");
        let key = |line: &String| line.split_once(' ').is_some_and(|(told, _)| told == key);
        told.iter().any(key)
    }

    /// Whole lines of its slow-request log so far.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8(text).expect("the log is UTF-8");
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(|l| l.trim_end().to_owned())
            .collect()
    }

    /// Its records so far.
    #[track_caller]
    pub fn records(&self) -> Vec<Report> {
        let record = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("no record: {e}\n{line}"))
        };
        self.lines().into_iter().map(record).collect()
    }

    /// Asserts that nothing is reported about `path` for so long.
    #[track_caller]
    pub fn does_not_report(&self, path: &str, duration: Duration) {
        let report = until(duration, || {
            self.records()
                .into_iter()
                .find(|r| r.request.as_ref().is_some_and(|q| q.path == path))
        });
        if let Some(report) = report {
            panic!("{path} should not be reported:\n{}", crate::show(&[report]));
        }
    }

    /// Path of its slow-request log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// A directory of its own, which goes with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to it.
    #[track_caller]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a child has an id"), signal)
            .expect("our own child");
    }

    /// How it ended, if it ends within `deadline`.
    pub fn exit_within(&mut self, deadline: Duration) -> Option<ExitStatus> {
        until(deadline, || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Start {
    fn new(mut command: Command, names: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("OTEL_") || text.starts_with("REDHANDED_") {
                command.env_remove(&name);
            }
        }
        command
            .args(names)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let log = dir.path().join("slow.jsonl");
        Self { command, dir, log }
    }

    /// More arguments; see the binary.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Another working directory.
    pub fn in_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// A directory of its own, which goes with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the log is expected, if it is not in [`dir`](Self::dir).
    pub fn log_is(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = log.into();
        self
    }

    /// Starts it with the log where [`Stall::log`] expects it.
    #[track_caller]
    pub fn start(mut self) -> Stall {
        self.command.arg("--log").arg(&self.log);
        self.start_as_is()
    }

    /// Starts it without saying where the log goes.
    #[track_caller]
    pub fn start_as_is(mut self) -> Stall {
        let stderr = File::create(self.dir.path().join("stderr")).expect("a file for its words");
        let mut child = self
            .command
            .stderr(stderr)
            .spawn()
            .expect("the stall is built");
        let stdout = child.stdout.take().expect("piped");
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = told.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        let mut stall = Stall {
            child,
            port: 0,
            log: self.log,
            told,
            dir: self.dir,
        };
        stall.port = stall.told("port").parse().expect("a port");
        stall
    }

    /// Runs it to its end; for starts that fail, and those that end by themselves.
    #[track_caller]
    pub fn output(mut self) -> Output {
        let child = self
            .command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the stall is built");
        finish(child)
    }
}

/// What a process leaves that ends by itself; one that does not is killed, and that is a failure.
#[track_caller]
pub fn finish(mut child: Child) -> Output {
    if until(PATIENCE, || child.try_wait().ok().flatten()).is_none() {
        let _ = child.kill();
        let output = child.wait_with_output();
        panic!("the process should end by itself: {output:?}");
    }
    child.wait_with_output().expect("it has ended")
}

/// Asserts that `GET target` hangs in a process that nobody watches: no answer, and no log.
#[track_caller]
pub fn hangs_without(names: &[&str], target: &str) {
    let stall = Stall::of(names).args(&["--without"]).start();
    let begun = Instant::now();
    let mut asked = stall.get(target);
    let body = asked.body_within(Duration::from_millis(600));
    assert_eq!(
        body,
        None,
        "{target} should hang without us, and was answered after {:?}",
        begun.elapsed()
    );
    assert!(!stall.log().exists(), "nobody watches, and nobody writes");
}
