//! Processes that are killed while they write and rotate their log.

use super::{Task, kills};
use crate::failure::Failure;

pub(crate) const TASK: Task = Task {
    name: "log-kills",
    arguments: "[KILLS [SEED]]",
    promise: "kill -9 at KILLS random moments (default 5000, in ci 300) loses no line that was acknowledged",
    // Ten seconds after the build; the full number takes some minutes.
    ci: Some(&["300"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    kills::run("log-kills", "log_kills", 5000, arguments)
}
