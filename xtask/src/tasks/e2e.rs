//! The whole way with real servers.

use super::Task;
use crate::failure::Failure;
use crate::{run, servers};

pub(crate) const TASK: Task = Task {
    name: "e2e",
    arguments: "",
    promise: "a request that hangs is found in a real Jaeger, through a real Collector, while it hangs; none is lost while the Collector is killed, stopped or silent; behind an agent each trace is in one of two Collectors",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let built = servers::build()?;
    let mut test = run::cargo_test(&["while_it_hangs", "compose"]);
    test.args(["--", "--nocapture"]);
    test.env("REDHANDED_E2E_COLLECTOR", built.collector);
    test.env("REDHANDED_E2E_JAEGER", built.jaeger);
    run::check(&mut test)
}
