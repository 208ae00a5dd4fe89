//! All promises, one after the other.

use super::{ALL, Task, by_name};
use crate::failure::Failure;
use crate::say;
use std::time::Instant;

pub(crate) const TASK: Task = Task {
    name: "ci",
    arguments: "[--skip TASK]…",
    promise: "keeps every promise; goes on after one that is broken",
    ci: None,
    run,
};

fn run(arguments: &[String]) -> Result<(), Failure> {
    let skipped = skipped(arguments)?;
    let mut kept = Vec::new();
    for task in ALL.iter().filter(|task| !skipped.contains(&task.name)) {
        let Some(arguments) = task.ci else { continue };
        say::note(&format!("\n== {}: {}", task.name, task.promise));
        let begun = Instant::now();
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let outcome = (task.run)(&arguments);
        if let Err(failure) = &outcome {
            say::failure(failure);
        }
        kept.push((task.name, outcome.is_ok(), begun.elapsed()));
    }
    say::summary(&kept);
    let broken: Vec<&str> = kept
        .iter()
        .filter(|(_, kept, _)| !kept)
        .map(|(name, ..)| *name)
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::broken(format!("broken: {}", broken.join(", "))))
}

fn skipped(arguments: &[String]) -> Result<Vec<&'static str>, Failure> {
    arguments.chunks(2).map(skip).collect()
}

fn skip(pair: &[String]) -> Result<&'static str, Failure> {
    match pair {
        [flag, name] if flag == "--skip" => by_name(name)
            .filter(|task| task.ci.is_some())
            .map(|task| task.name)
            .ok_or_else(|| Failure::usage(format!("ci has no task {name:?} to skip"))),
        _ => Err(Failure::usage(format!(
            "ci takes --skip TASK, not {:?}",
            pair.join(" ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<Vec<&'static str>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        skipped(&words).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_skipped_must_be_there() {
        assert_eq!(said(""), Ok(vec![]));
        assert_eq!(said("--skip test --skip e2e"), Ok(vec!["test", "e2e"]));
        assert_eq!(
            said("--skip tset"),
            Err("ci has no task \"tset\" to skip".to_owned())
        );
        assert_eq!(
            said("--skip"),
            Err("ci takes --skip TASK, not \"--skip\"".to_owned())
        );
        assert_eq!(
            said("--skip ci"),
            Err("ci has no task \"ci\" to skip".to_owned())
        );
    }
}
