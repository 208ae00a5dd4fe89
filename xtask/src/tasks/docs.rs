//! Documentation.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "docs",
    arguments: "",
    promise: "the documentation builds without a warning",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let mut doc = run::cargo(&["doc", "--no-deps", "--workspace"]);
    run::check(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
