//! Thousands of captures of threads that do the worst things.

use super::Task;
use crate::failure::Failure;
use crate::run;

pub(crate) const TASK: Task = Task {
    name: "hammer",
    arguments: "[CAPTURES]",
    promise: "looking at a thread never harms it: CAPTURES (default 20000, in ci 1000) of every workload",
    // A minute or two; the full number takes half an hour.
    ci: Some(&["1000"]),
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    let captures = captures(arguments)?.to_string();
    let mut test = run::cargo_test(&["hammer"]);
    run::check(test.env("REDHANDED_HAMMER_CAPTURES", captures))
}

fn captures(arguments: &[String]) -> Result<u32, Failure> {
    match arguments {
        [] => Ok(20_000),
        [number] => number
            .parse()
            .ok()
            .filter(|captures| *captures > 0)
            .ok_or_else(|| {
                Failure::usage(format!("hammer takes a number of captures, not {number:?}"))
            }),
        _ => Err(Failure::usage("hammer takes one number of captures")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_a_number() {
        let of =
            |words: &[&str]| captures(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).ok(), Some(20_000));
        assert_eq!(of(&["1"]).ok(), Some(1));
        for wrong in [&["0"][..], &["many"], &["1", "2"], &["-1"]] {
            assert!(matches!(of(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
