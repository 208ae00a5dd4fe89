//! The drill says what is seen of a case, to people and to programs.

use serde_json::Value;
use std::process::{Command, Output};

fn drill(arguments: &[&str]) -> Output {
    let mut drill = Command::new(env!("CARGO_BIN_EXE_redhanded-drill"));
    drill.args(arguments).output().expect("it is built")
}

#[test]
fn the_drill_has_a_line_a_case() {
    let output = drill(&["e6", "N13"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success(), "{output:?}");
    assert!(
        lines[0].starts_with("E6 ") && lines[0].contains(" ok     lost_wakeup, "),
        "{said}"
    );
    assert!(
        lines[1].starts_with("N13") && lines[1].ends_with(" ok     nobody accused"),
        "{said}"
    );
    assert_eq!(lines[2..], ["2 of 2 as they must be"]);
}

#[test]
fn the_drill_speaks_json() {
    let output = drill(&["--json", "F1b"]);
    let object: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(output.status.success(), "{object}");
    assert_eq!(
        (&object["code"], &object["right"]),
        (&"F1b".into(), &true.into())
    );
    assert_eq!(object["verdict"]["class"], "silent_peer");
    assert!(object["verdict"]["peer"]["port"].is_u64(), "{object}");
}

#[test]
fn the_drill_refuses_what_it_does_not_know() {
    for (arguments, words) in [
        (&["Z9"][..], "no case \"Z9\"; there are A1, "),
        (&["--fast"], "no option --fast"),
        (&["--jobs"], "wants a number"),
    ] {
        let output = drill(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{said}");
    }
}
