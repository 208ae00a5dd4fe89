//! A real HAProxy before processes of which one is wedged.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "haproxy",
    arguments: "",
    promise: "a real HAProxy drains a wedged process within a second, the others serve on, and a supervisor restarts it",
    // Half a minute.
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    if !run::succeeds(run::program("haproxy").arg("-v")) {
        run::install("HAProxy", &["haproxy"])?;
    }
    let test = [
        "test",
        "-p",
        "redhanded-tests",
        "--test",
        "haproxy",
        "--",
        "--ignored",
        "--nocapture",
    ];
    run::check(&mut run::cargo(&test))
}
