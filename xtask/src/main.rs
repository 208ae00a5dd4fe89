//! Every promise of this project as one command: `cargo xtask` lists them, `cargo xtask ci` keeps
//! them all.

mod failure;
mod run;
mod say;
mod servers;
mod tasks;
mod tree;

use failure::Failure;
use std::process::ExitCode;
use tasks::Task;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => list(),
        Some((word, _)) if ["help", "--help", "-h"].contains(&word.as_str()) => list(),
        Some((name, rest)) => match perform(name, rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say::failure(&failure);
                failure.exit_code()
            }
        },
    }
}

fn list() -> ExitCode {
    say::tasks(&tasks::ALL);
    ExitCode::SUCCESS
}

fn perform(name: &str, arguments: &[String]) -> Result<(), Failure> {
    let task = tasks::by_name(name).ok_or_else(|| {
        Failure::usage(format!("there is no task {name:?}; cargo xtask lists them"))
    })?;
    checked_arguments(task, arguments)?;
    (task.run)(arguments)
}

/// Most tasks take nothing; the others look at what they are given themselves.
fn checked_arguments(task: &Task, arguments: &[String]) -> Result<(), Failure> {
    match arguments.first() {
        Some(first) if task.arguments.is_empty() => Err(Failure::usage(format!(
            "{} takes no argument, not {first:?}",
            task.name
        ))),
        _ => Ok(()),
    }
}
