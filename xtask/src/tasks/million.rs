//! Four culprits among a million requests.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "million",
    arguments: "[REQUESTS [SEED]]",
    promise: "four culprits among REQUESTS (default 1000000, in ci 100000) are found and nobody else; what watching costs, at most 18 % of the throughput by CPU time",
    // Half a minute after the build; the million takes two or three.
    ci: Some(&["100000"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    numbers(arguments)?;
    let build = ["build", "--release", "-p", "redhanded-million"];
    run::check(&mut run::cargo(&build))?;
    let million = tree::target().join("release/million");
    run::check(run::program(million).args(arguments))
}

/// Refused before minutes of building.
fn numbers(arguments: &[String]) -> Result<(), Failure> {
    let is_number = |word: &String| word.parse::<u64>().is_ok();
    let enough = |requests: &u64| *requests >= 1000;
    let requests = arguments.first().map(|word| word.parse().ok());
    let right = requests.is_none_or(|r| r.as_ref().is_some_and(enough));
    if right && arguments.len() <= 2 && arguments.iter().all(is_number) {
        return Ok(());
    }
    Err(Failure::usage(
        "million takes a number of requests, 1000 at least, and the number of a seed",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_understood_and_nothing_else() {
        let of =
            |words: &[&str]| numbers(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        for right in [&[][..], &["1000"], &["1000000", "0"]] {
            assert!(of(right).is_ok(), "{right:?}");
        }
        for wrong in [&["999"][..], &["many"], &["1000", "x"], &["1000", "1", "2"]] {
            assert!(matches!(of(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
