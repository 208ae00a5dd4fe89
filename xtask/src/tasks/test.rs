//! Tests.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "test",
    arguments: "",
    promise: "every test passes, with the command of the README",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    run::check(&mut run::cargo(&["test", "--workspace"]))
}
