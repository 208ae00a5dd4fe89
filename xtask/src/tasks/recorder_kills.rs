//! Processes that are killed while they serve requests, and what their flight recorders tell.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "recorder-kills",
    arguments: "[KILLS [SEED]]",
    promise: "after kill -9 at KILLS random moments (default 10000, in ci 300) every caught request is known, and 999 of 1000 in flight",
    // Half a minute after the build; the full number takes some ten minutes.
    ci: Some(&["300"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    let numbers = numbers(arguments)?;
    run::check(&mut run::cargo(&[
        "build",
        "-p",
        "redhanded-weather",
        "--bins",
    ]))?;
    let kills = tree::target().join("debug/recorder_kills");
    run::check(run::program(kills).args(numbers.map(|number| number.to_string())))
}

/// Kills, and the seed of their moments.
fn numbers(arguments: &[String]) -> Result<[u32; 2], Failure> {
    let words: Option<Vec<u32>> = arguments.iter().map(|word| word.parse().ok()).collect();
    match words.as_deref() {
        Some([]) => Ok([10_000, 1]),
        Some([kills]) if *kills > 0 => Ok([*kills, 1]),
        Some([kills, seed]) if *kills > 0 => Ok([*kills, *seed]),
        _ => Err(Failure::usage(
            "recorder-kills takes a number of kills, and the number of a seed",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_understood_and_nothing_else() {
        let of =
            |words: &[&str]| numbers(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).ok(), Some([10_000, 1]));
        assert_eq!(of(&["9", "0"]).ok(), Some([9, 0]));
        for wrong in [&["0"][..], &["many"], &["1", "2", "3"], &["-1"]] {
            assert!(matches!(of(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
