//! The drill is a program of its own: found, given what was asked, and missed in words.

#![cfg(unix)]

use crate::run::{Place, Said};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A drill that says what it was given.
fn drill_at(directory: &Path, name: &str) {
    let path = directory.join("redhanded-drill");
    std::fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\"\nexit 7\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// The command in a directory of its own, where no drill was built.
fn copied(place: &Place) -> PathBuf {
    let bin = place.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let command = bin.join("redhanded");
    let built = env!("CARGO_BIN_EXE_redhanded");
    // A link where that is possible: a copy cannot be run while a process that another test has just forked has it open.
    if std::fs::hard_link(built, &command).is_err() {
        std::fs::copy(built, &command).unwrap();
    }
    command
}

fn run(program: &Path, path: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output();
    let output = output.unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_drill_that_is_not_there_is_missed_in_words() {
    let place = Place::new();
    let said = run(&copied(&place), &place.path("nowhere"), &["drill"]).ends(3);
    assert!(said.out.is_empty(), "{}", said.out);
    for words in [
        "redhanded-drill",
        "PATH",
        "cargo build -p redhanded-factory",
    ] {
        assert!(said.err.contains(words), "{}", said.err);
    }
}

#[test]
fn it_is_given_what_was_asked_and_its_exit_code_is_passed_on() {
    let place = Place::new();
    let command = copied(&place);
    let path = place.path("path");
    std::fs::create_dir(&path).unwrap();
    drill_at(&path, "path");
    let said = run(
        &command,
        &path,
        &["drill", "A1", "--jobs", "3", "N5", "--json"],
    )
    .ends(7);
    assert_eq!(said.out, "path --json --jobs 3 A1 N5\n");
    // The one beside it is of the same build
    drill_at(&place.path("bin"), "beside");
    assert_eq!(run(&command, &path, &["drill"]).ends(7).out, "beside\n");
}

#[test]
fn one_that_cannot_be_run_is_said() {
    let place = Place::new();
    let command = copied(&place);
    std::fs::write(place.path("bin/redhanded-drill"), "not a program").unwrap();
    let said = run(&command, &place.path("nowhere"), &["drill"]).ends(3);
    assert!(said.err.contains("cannot be run"), "{}", said.err);
}

#[test]
fn options_are_understood_before_anything_is_run() {
    let place = Place::new();
    for arguments in [&["drill", "--jobs", "0"][..], &["drill", "--fast"]] {
        let said = place.run(arguments).ends(2);
        assert!(said.out.is_empty() && !said.err.is_empty(), "{arguments:?}");
    }
}
