//! The service under test.

use crate::http::{self, Caller, Open};
use crate::process::Process;
use crate::wait::{SOON, until};
use redhanded::report::{Event, Report};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its source, for the lines that are to blame.
const SOURCE: &str = include_str!("../../src/bin/toy.rs");

/// The line of the toy that says `here: {what}`.
pub(crate) fn line(what: &str) -> u32 {
    let marked = |line: &str| line.trim_end().ends_with(&format!("// here: {what}"));
    let at = SOURCE.lines().position(marked).expect("the line is marked");
    u32::try_from(at).expect("a short file") + 1
}

/// A running toy; its log is in `directory`.
pub(crate) struct Toy {
    process: Process,
    pub(crate) address: String,
    log: PathBuf,
}

impl Toy {
    /// Watched, with runaways sent to `otlp`.
    pub(crate) fn watched(directory: &Path, otlp: &str) -> Self {
        Self::start(
            directory,
            command(directory).env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp),
        )
    }

    /// Watched, with what else its environment says.
    pub(crate) fn told(directory: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start(
            directory,
            command(directory).envs(environment.iter().copied()),
        )
    }

    /// Ends it as the kernel would, without a word.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// The same without redhanded.
    pub(crate) fn unwatched(directory: &Path, otlp: &str) -> Self {
        let mut command = command(directory);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", otlp);
        Self::start(directory, command.env("TOY_UNWATCHED", "yes"))
    }

    fn start(directory: &Path, command: &mut Command) -> Self {
        fs::create_dir(directory).expect("a directory in one of ours");
        let mut process = Process::start("toy", command, directory);
        let address = until("the toy listens", SOON, || {
            assert!(!process.has_ended(), "the toy ended at its start");
            let said = fs::read_to_string(directory.join("toy.stdout")).ok()?;
            said.strip_suffix('\n').map(str::to_owned)
        });
        Self {
            process,
            address,
            log: log(directory),
        }
    }

    pub(crate) fn send(&self, target: &str, caller: &Caller) -> Open {
        Open::send(&self.address, target, caller)
    }

    /// The toy's answer to a small request, at once.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> String {
        let answer = http::get(&format!("http://{}{target}", self.address));
        answer.unwrap_or_else(|| panic!("no answer to {target}")).1
    }

    /// Whether it has a log at all.
    pub(crate) fn has_log(&self) -> bool {
        self.log.exists()
    }

    /// The log as it is.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its lines; one that is being written is left out.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let log = self.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        whole.lines().map(parse).collect()
    }

    /// The line about `caller`'s request.
    pub(crate) fn report(&mut self, event: Event, caller: &Caller) -> Report {
        let about = |report: &Report| {
            report.event == event && report.trace_id.as_deref() == Some(&caller.trace_id)
        };
        until(&format!("its {event:?} line is in the log"), SOON, || {
            assert!(!self.process.has_ended(), "the toy ended");
            self.reports().into_iter().find(about)
        })
    }
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toy"));
    // Only what is said here: somebody's OTEL_* would tell it something else.
    command
        .env_clear()
        .env("REDHANDED_SLOW_AFTER", "500ms")
        .env("REDHANDED_SLOW_LOG", log(directory));
    command
}

fn log(directory: &Path) -> PathBuf {
    directory.join("slow-requests.jsonl")
}
