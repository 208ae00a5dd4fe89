//! What cannot be captured on another platform is absent there, and everything else still builds.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "stub",
    arguments: "",
    promise: "everything builds where no thread can be looked at, and the unit tests of the capture crate pass there",
    ci: Some(&[]),
    run,
};

fn run(_: &[String]) -> Result<(), Failure> {
    for arguments in [
        &["check", "-p", "redhanded", "--all-features"][..],
        &["test", "-p", "redhanded-capture", "--quiet", "--lib"],
    ] {
        let mut cargo = run::cargo(arguments);
        // Other flags, other builds: in the same directory each would throw the other's away.
        cargo.arg("--target-dir").arg(tree::target().join("stub"));
        run::check(cargo.env("RUSTFLAGS", "--cfg redhanded_stub"))?;
    }
    Ok(())
}
