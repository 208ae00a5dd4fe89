//! Colours only where they are wanted, and nothing from a log that steers a terminal.

use crate::run::{EXAMPLE, EXAMPLE_ID, Place, caught, command, id, line};
use std::process::Stdio;

const EVIL: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{7f}\u{202e}\r\nroot# ";

#[test]
fn no_control_character_of_a_log_comes_through() {
    let place = Place::new();
    let mut report = caught(1, &format!("app::{EVIL}"));
    report.event = redhanded_report::Event::Caught;
    report.service.host = Some(EVIL.to_owned());
    report.fingerprint = Some(EVIL.to_owned());
    report.request.as_mut().unwrap().route = Some(EVIL.to_owned());
    report.verdict.as_mut().unwrap().cause = EVIL.to_owned();
    let text = line(&report);
    let unknown = text
        .replace("\"cpu_loop\"", "\"\\u001b[2J\u{9b}\"")
        .replace("\"caught\"", "\"\\u001b]0;x\\u0007\"")
        .replace(&id(1), &id(2));
    let foreign = text.replace("redhanded/1", "\\u001b[2J\u{202e}");
    let tabs = text
        .replace(",\"event\"", ",\t\r\"event\"")
        .replace(&id(1), &id(3));
    place.write(
        &format!("log{EVIL}"),
        format!("{text}{unknown}{foreign}\u{1b}[2J\u{202e}\n{tabs}"),
    );
    let log = format!("log{EVIL}");
    let stdin = std::fs::read(place.path(&log)).unwrap();
    let first = id(1);
    let runs: [&[&str]; 9] = [
        &["top", &log],
        &["top", "--all", "--json", &log],
        &["show", &first, &log],
        &["show", &first, "--json", &log],
        &["show", &id(2), &log],
        &["show", "01", &log],
        &["show", EVIL, &log],
        &["tail", "-"],
        &["tail", "--json", "-"],
    ];
    for arguments in runs {
        let said = place.run_with(arguments, &stdin);
        for text in [&said.out, &said.err] {
            let bad: Vec<char> = text
                .chars()
                .filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}')
                .collect();
            assert!(bad.is_empty(), "{arguments:?}: {bad:?} in {text:?}");
            assert!(
                !text.lines().any(|line| line.starts_with("root#")),
                "{arguments:?}: {text}"
            );
        }
    }
    let passed = place.run_with(&["tail", "--json", "-"], &stdin).out;
    let first: serde_json::Value = serde_json::from_str(passed.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        serde_json::to_value(&report).unwrap(),
        "what is passed on means the same"
    );
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    let colored = |arguments: &[&str]| place.run(arguments).ends(0).out.contains("\u{1b}[");
    for one in [&["top", "log"][..], &["show", EXAMPLE_ID, "log"]] {
        assert!(!colored(one), "a pipe is no terminal: {one:?}");
        assert!(colored(&[one, &["--color", "always"]].concat()), "{one:?}");
        assert!(!colored(&[one, &["--color", "never"]].concat()), "{one:?}");
    }
    assert!(!colored(&["top", "log", "--json", "--color", "always"]));
    assert!(
        place
            .run(&["--color", "pink", "top"])
            .ends(2)
            .err
            .contains("pink")
    );
}

/// `script` gives the command a terminal; where it is missing there is nothing to test with.
#[test]
#[cfg(target_os = "linux")]
fn a_terminal_gets_colours_unless_the_environment_says_no() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    let said = |variable: &str, value: &str| {
        let mut script = std::process::Command::new("script");
        let run = format!("{} top log", env!("CARGO_BIN_EXE_redhanded"));
        script
            .args(["-qec", &run, "/dev/null"])
            .current_dir(place.0.path())
            .stdin(Stdio::null());
        script
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .env(variable, value);
        let output = script
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(plain) = said("NO_COLOR", "1") else {
        return;
    };
    assert!(
        plain.contains("app::search::matches") && !plain.contains("\u{1b}["),
        "{plain:?}"
    );
    assert!(said("TERM", "dumb").is_some_and(|text| !text.contains("\u{1b}[")));
    assert!(said("NO_COLOR", "").is_some_and(|text| text.contains("\u{1b}[")));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    place.write("log", EXAMPLE.repeat(50));
    for arguments in [
        &["top", "log"][..],
        &["show", EXAMPLE_ID, "log"],
        &["tail", "-"],
        &["man"],
        &["completions", "bash"],
    ] {
        let mut child = command(place.0.path())
            .args(arguments)
            .stdin(std::fs::File::open(place.path("log")).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_said() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    let output = command(place.0.path())
        .args(["top", "log"])
        .stdout(std::fs::File::create("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.starts_with("redhanded: the output cannot be written: "),
        "{err}"
    );
}
