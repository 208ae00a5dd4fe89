//! What watching costs a request: instructions and allocations, which repeat on any machine.

use super::Task;
use crate::failure::Failure;
use crate::{run, say, tree};
use std::path::{Path, PathBuf};

pub(crate) const TASK: Task = Task {
    name: "budget",
    arguments: "",
    promise: "watching costs a request at most 600 instructions and 1 allocation over a layer that does nothing",
    in_ci: true,
    run: |_| keep(&["/hello"]),
};

pub(crate) const BENCH: Task = Task {
    name: "bench",
    arguments: "[URI]",
    promise: "the same for requests of another URI, such as /hello?q=x",
    in_ci: false,
    run: bench,
};

/// Two runs, so that the price of the start falls out of their difference.
const FEW: u64 = 2_000;
const MANY: u64 = 6_000;

/// What may lie between two of the measured apps: name, base, instructions, allocations.
const BUDGETS: [(&str, &str, f64, f64); 2] = [
    ("redhanded", "identity", 600.0, 1.0),
    ("redhanded", "bare", 1_700.0, 4.0),
];

/// What one request costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

fn bench(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => keep(&["/hello"]),
        [uri] if uri.starts_with('/') => keep(&[uri]),
        _ => Err(Failure::usage("bench takes one URI that begins with /")),
    }
}

fn keep(uri: &[&str]) -> Result<(), Failure> {
    run::provide("valgrind", "valgrind")?;
    run::check(&mut run::cargo(&["build", "--release", "-p", "redhanded-benches", "--bins"]))?;
    let allocations = allocations()?;
    let mut costs = Vec::new();
    for (name, allocations) in &allocations {
        let instructions = per_request(name, uri)?;
        say::result(&format!("{name:10} {instructions:8.0} instructions {allocations:7.3} allocations per request"));
        costs.push((name.as_str(), Cost { instructions, allocations: *allocations }));
    }
    let over: Vec<String> = BUDGETS.iter().filter_map(|budget| compare(&costs, *budget).transpose()).collect::<Result<_, _>>()?;
    if over.is_empty() { Ok(()) } else { Err(Failure::broken(over.join("; "))) }
}
