//! Beside tokio-console, of whose data tokio has none unless it was built for it.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "console",
    arguments: "",
    promise: "the layer stands in one stack with tokio-console's, fmt's and OpenTelemetry's, in any order, and each sees what is its own",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    let mut test = run::cargo(&["test", "-p", "redhanded-trace", "--test", "console"]);
    // Other flags, other builds: in the same directory each would throw the other's away.
    test.arg("--target-dir").arg(tree::target().join("console"));
    run::check(test.env("RUSTFLAGS", "--cfg tokio_unstable"))
}
