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
    // The processes behind HAProxy are a program of that package.
    run::check(run::cargo_test(&["process"]).arg("--no-run"))?;
    let mut test = run::cargo_test(&["while_it_hangs"]);
    test.args(["--", "--ignored", "--nocapture"]);
    test.env("REDHANDED_E2E_COLLECTOR", built.collector);
    test.env("REDHANDED_E2E_JAEGER", built.jaeger);
    run::check(&mut test)
}
