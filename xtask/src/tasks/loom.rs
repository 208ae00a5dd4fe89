//! The handshakes between threads, in every order.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "loom",
    arguments: "",
    promise: "the handshakes between request and watchdog hold in every order of threads",
    ci: Some(&[]),
    run,
};

/// Preemptions that a model may make. Without a bound a larger model would take for ever; nearly
/// every known error of this kind shows within two.
const PREEMPTIONS: &str = "3";

fn run(_: &[String]) -> Result<(), Failure> {
    let lib = [
        "test",
        "-p",
        "redhanded-core",
        "--lib",
        "--release",
        "model",
    ];
    let mut test = run::cargo(&lib);
    // Other flags, other builds: in the same directory each would throw the other's away.
    test.arg("--target-dir").arg(tree::target().join("loom"));
    let bound = std::env::var("LOOM_MAX_PREEMPTIONS").unwrap_or_else(|_| PREEMPTIONS.to_owned());
    test.env("LOOM_MAX_PREEMPTIONS", bound);
    run::check(test.env("RUSTFLAGS", "--cfg redhanded_loom"))
}
