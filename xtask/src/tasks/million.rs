//! Four culprits among a million requests.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "million",
    arguments: "[REQUESTS [SEED]]",
    promise: "four culprits among REQUESTS (default 1000000, in ci 100000) are found and nobody else; what watching costs",
    // Ten seconds after the build; the million takes one or two minutes.
    ci: Some(&["100000"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    if arguments.len() > 2 {
        return Err(Failure::usage("million takes REQUESTS and SEED"));
    }
    let build = ["build", "--release", "-p", "redhanded-million"];
    run::check(&mut run::cargo(&build))?;
    let million = tree::target().join("release/million");
    run::check(run::program(million).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_number_is_not_understood() {
        let words = ["1", "2", "3"].map(str::to_owned);
        assert!(matches!(run(&words), Err(Failure::Usage(_))));
    }
}
