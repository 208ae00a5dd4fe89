//! `redhanded drill`: a program of its own, because it has all that hangs in it and the code that watches.

use crate::args::Drill;
use crate::exit::Exit;
use crate::output::complain;
use crate::sys;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "redhanded-drill";

/// Becomes the drill; returns only where that fails, or where a process cannot become another.
pub(crate) fn run(asked: &Drill) -> Exit {
    let mut command = Command::new(program(std::env::current_exe().ok().as_deref()));
    command.args(arguments(asked));
    match sys::become_it(&mut command) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&format!("{PROGRAM} cannot be run: {error}"));
            if error.kind() == std::io::ErrorKind::NotFound {
                complain(
                    "it is looked for beside this program and in PATH; in redhanded's sources: cargo build -p redhanded-factory",
                );
            }
            Exit::Unreadable
        }
    }
}

/// The drill beside this program, which is of the same build; else whatever PATH has.
fn program(me: Option<&Path>) -> PathBuf {
    let name = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let beside = me.map(|me| me.with_file_name(&name));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| name.into())
}

fn arguments(asked: &Drill) -> Vec<String> {
    let Drill { codes, jobs, json } = asked;
    let mut arguments = Vec::new();
    if *json {
        arguments.push("--json".to_owned());
    }
    if let Some(jobs) = jobs {
        arguments.extend(["--jobs".to_owned(), jobs.to_string()]);
    }
    arguments.extend(codes.iter().cloned());
    arguments
}
