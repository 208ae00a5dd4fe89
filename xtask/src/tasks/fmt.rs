//! Formatting.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "fmt",
    arguments: "",
    promise: "the sources are formatted as rustfmt does it",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    run::check(&mut run::cargo(&["fmt", "--all", "--", "--check"]))
}
