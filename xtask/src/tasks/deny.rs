//! Licences, sources and known vulnerabilities of what we depend on.

use super::Task;
use crate::failure::Failure;
use crate::{run, say};

pub(crate) const TASK: Task = Task {
    name: "deny",
    arguments: "",
    promise: "dependencies have known licences and sources, and no known vulnerability",
    ci: Some(&[]),
    run,
};

/// Versions differ in what they complain about.
const VERSION: &str = "0.20.2";

fn run(_: &[String]) -> Result<(), Failure> {
    if !run::succeeds(&mut run::cargo(&["deny", "--version"])) {
        say::note("cargo-deny is missing; building it takes minutes");
        run::check(&mut run::cargo(&[
            "install",
            "--locked",
            "cargo-deny",
            "--version",
            VERSION,
        ]))?;
    }
    run::check(&mut run::cargo(&[
        "deny", "check", "bans", "licenses", "sources",
    ]))?;
    // The advisories are a git repository of their own. Without a way to it there is nothing to
    // check, and a promise that breaks with the network says nothing about us.
    if run::succeeds(&mut run::cargo(&["deny", "fetch", "db"])) {
        let advisories = ["deny", "check", "--disable-fetch", "advisories"];
        return run::check(&mut run::cargo(&advisories));
    }
    say::note("NOT CHECKED: advisories; their database cannot be reached from here");
    Ok(())
}
