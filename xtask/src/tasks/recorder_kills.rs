//! Processes that are killed while they serve requests, and what their flight recorders tell.

use super::{Task, kills};
use crate::failure::Failure;

pub(crate) const TASK: Task = Task {
    name: "recorder-kills",
    arguments: "[KILLS [SEED]]",
    promise: "after kill -9 at KILLS random moments (default 10000, in ci 300) every caught request is known, and 999 of 1000 in flight",
    // Half a minute after the build; the full number takes some ten minutes.
    ci: Some(&["300"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    kills::run("recorder-kills", "recorder_kills", 10_000, arguments)
}
