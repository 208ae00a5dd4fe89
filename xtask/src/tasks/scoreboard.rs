//! Real causes of runaway requests, and how they are judged: `[--dev] [--release] [--workers N]… [--idle] [--overloaded]
//! [--corpus] [--jobs N] [--keep DIR] [CODE]…`; all but the builds is what `tests/factory/src/bin/scoreboard.rs` takes.

use super::Task;
use crate::failure::Failure;
use crate::{run, tree};

pub(crate) const TASK: Task = Task {
    name: "scoreboard",
    arguments: "[OPTION | CODE]…",
    promise: "of 30 real causes 29 have the right class, 28 the right function, all their host, and no innocent is accused",
    // Four minutes, of which more than half is the overloaded machine; everything in both builds takes most of an hour.
    ci: Some(&["--dev", "--workers", "2", "--corpus", "--jobs", "4"]),
    run,
};

/// A build to judge: how cargo makes it, and where it puts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Dev,
    Release,
}

impl Build {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[],
            Self::Release => &["--release"],
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Each build is judged, and one that fails does not hide the other.
fn run(arguments: &[String]) -> Result<(), Failure> {
    let (builds, rest) = asked(arguments)?;
    let failures = builds.iter().filter_map(|build| judge(*build, &rest).err());
    let words: Vec<String> = failures.map(|failure| failure.to_string()).collect();
    if words.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(words.join("; ")))
}

fn judge(build: Build, arguments: &[String]) -> Result<(), Failure> {
    let cargo = ["build", "--bins", "-p", "redhanded-factory"];
    run::check(run::cargo(&cargo).args(build.flags()))?;
    let scoreboard = tree::target().join(build.folder()).join("scoreboard");
    run::check(run::program(scoreboard).args(arguments))
}

/// The builds, and what the scoreboard is told; refused before minutes of building.
fn asked(arguments: &[String]) -> Result<(Vec<Build>, Vec<String>), Failure> {
    let (mut builds, mut rest) = (Vec::new(), Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--dev" => builds.push(Build::Dev),
            "--release" => builds.push(Build::Release),
            "--idle" | "--overloaded" | "--corpus" => rest.push(word.clone()),
            "--workers" | "--jobs" => rest.extend([word.clone(), number(word, words.next())?]),
            "--keep" => rest.extend([word.clone(), value(word, words.next())?]),
            code if is_code(code) => rest.push(word.clone()),
            _ => {
                return Err(Failure::usage(format!(
                    "scoreboard has no option or case {word:?}"
                )));
            }
        }
    }
    if builds.is_empty() {
        builds = vec![Build::Dev, Build::Release];
    }
    Ok((builds, rest))
}

fn value(option: &str, value: Option<&String>) -> Result<String, Failure> {
    value
        .cloned()
        .ok_or_else(|| Failure::usage(format!("{option} wants a value")))
}

fn number(option: &str, said: Option<&String>) -> Result<String, Failure> {
    let said = value(option, said)?;
    match said.parse::<u16>() {
        Ok(_) => Ok(said),
        Err(_) => Err(Failure::usage(format!(
            "{option} takes a number, not {said:?}"
        ))),
    }
}

/// `A1`, `n5b`: a letter, a number, and maybe one more letter. Whether it is there, the scoreboard knows.
fn is_code(word: &str) -> bool {
    let Some(rest) = word.strip_prefix(|c: char| c.is_ascii_alphabetic()) else {
        return false;
    };
    let number = rest
        .strip_suffix(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(rest);
    number.parse::<u8>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<(Vec<Build>, String), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let asked = asked(&words).map_err(|failure| failure.to_string())?;
        Ok((asked.0, asked.1.join(" ")))
    }

    #[test]
    fn builds_are_ours_and_the_rest_is_passed_on() {
        let both = vec![Build::Dev, Build::Release];
        assert_eq!(said(""), Ok((both.clone(), String::new())));
        assert_eq!(
            said("--release --workers 2 --workers 4 --idle A1 n5b"),
            Ok((
                vec![Build::Release],
                "--workers 2 --workers 4 --idle A1 n5b".to_owned()
            ))
        );
        let (builds, rest) =
            said("--jobs 3 --keep /tmp/x --corpus --overloaded").expect("all known");
        assert_eq!(
            (builds, rest.as_str()),
            (both, "--jobs 3 --keep /tmp/x --corpus --overloaded")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_before_the_build() {
        for wrong in [
            "--fast",
            "Z",
            "1A",
            "A1bc",
            "--workers",
            "--workers many",
            "--jobs -1",
            "--keep",
        ] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ci_says_what_is_understood() {
        let words = TASK.ci.unwrap_or_default().join(" ");
        assert!(said(&words).is_ok(), "{words}");
    }
}
