//! The servers of the end-to-end test.

use super::Task;
use crate::failure::Failure;
use crate::{say, servers};

pub(crate) const TASK: Task = Task {
    name: "servers",
    arguments: "",
    promise: "builds the Collector and the Jaeger of the end-to-end test; no promise, only its preparation",
    ci: None,
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let built = servers::build()?;
    say::result(&built.collector.display().to_string());
    say::result(&built.jaeger.display().to_string());
    Ok(())
}
