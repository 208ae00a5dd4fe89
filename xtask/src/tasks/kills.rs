//! Processes that are killed at random moments.

use crate::failure::Failure;
use crate::{run, tree};

/// Runs the program `program` of the weather tests for so many kills.
pub(super) fn run(
    task: &str,
    program: &str,
    usual: u32,
    arguments: &[String],
) -> Result<(), Failure> {
    let numbers = numbers(task, usual, arguments)?;
    // The command reads what is left: a program of its own package.
    run::check(run::cargo_test(&["weather", "cli"]).arg("--no-run"))?;
    let program = tree::target().join("debug").join(program);
    run::check(run::program(program).args(numbers.map(|number| number.to_string())))
}

/// Kills, and the seed of their moments.
fn numbers(task: &str, usual: u32, arguments: &[String]) -> Result<[u32; 2], Failure> {
    let words: Option<Vec<u32>> = arguments.iter().map(|word| word.parse().ok()).collect();
    match words.as_deref() {
        Some([]) => Ok([usual, 1]),
        Some([kills]) if *kills > 0 => Ok([*kills, 1]),
        Some([kills, seed]) if *kills > 0 => Ok([*kills, *seed]),
        _ => Err(Failure::usage(format!(
            "{task} takes a number of kills, and the number of a seed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_understood_and_nothing_else() {
        let of = |words: &[&str]| {
            numbers(
                "kills",
                5000,
                &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&[]).ok(), Some([5000, 1]));
        assert_eq!(of(&["9", "0"]).ok(), Some([9, 0]));
        for wrong in [&["0"][..], &["many"], &["1", "2", "3"], &["-1"]] {
            assert!(matches!(of(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
