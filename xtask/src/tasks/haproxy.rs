//! A real HAProxy before processes of which one is wedged.

use super::Task;
use crate::failure::Failure;
use crate::{run, servers};

pub(crate) const TASK: Task = Task {
    name: "haproxy",
    arguments: "",
    promise: "a real HAProxy drains a wedged process within a second, the others serve on, a supervisor restarts it, and log and Jaeger name the request",
    // Half a minute.
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    if !run::succeeds(run::program("haproxy").arg("-v")) {
        run::install("HAProxy", &["haproxy"])?;
    }
    let built = servers::build()?;
    // The processes behind HAProxy.
    run::check(&mut run::cargo(&[
        "build",
        "-p",
        "redhanded-tests",
        "--bin",
        "stall",
    ]))?;
    let mut test = run::cargo(&["test", "-p", "redhanded-e2e", "--"]);
    test.args(["--ignored", "--nocapture"]);
    test.env("REDHANDED_E2E_COLLECTOR", built.collector);
    test.env("REDHANDED_E2E_JAEGER", built.jaeger);
    run::check(&mut test)
}
