//! Lints.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "clippy",
    arguments: "",
    promise: "no warnings of clippy in any target with all features",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let everything = ["--workspace", "--all-targets", "--all-features"];
    let deny = ["--", "-D", "warnings"];
    run::check(run::cargo(&["clippy"]).args(everything).args(deny))
}
