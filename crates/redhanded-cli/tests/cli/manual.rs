//! Help, the manual page and completions say what there is.

use crate::run::Place;

#[test]
fn exit_codes_are_documented_everywhere() {
    let place = Place::new();
    for arguments in [
        &["--help"][..],
        &["top", "--help"],
        &["show", "-h"],
        &["tail", "--help"],
        &["man"],
        &["man", "top"],
        &["explain", "--help"],
        &["man", "explain"],
        &["drill", "--help"],
        &["man", "drill"],
        &["postmortem", "--help"],
        &["man", "postmortem"],
    ] {
        let said = place.run(arguments).ends(0);
        for code in ["nothing found", "usage", "could not be read"] {
            assert!(said.out.contains(code), "{arguments:?}: {}", said.out);
        }
    }
    assert!(place.run(&["man"]).out.contains(".SH \"EXIT STATUS\""));
    assert!(place.run(&["man", "tail"]).out.contains("\\-\\-lines"));
    let wrong = place.run(&["man", "tial"]).ends(2);
    assert!(wrong.err.contains("\"tial\""), "{}", wrong.err);
}

#[test]
fn completions_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = place.run(&["completions", shell]).ends(0);
        for word in [
            "top",
            "show",
            "explain",
            "tail",
            "postmortem",
            "drill",
            "requests",
        ] {
            assert!(said.out.contains(word), "{shell}");
        }
    }
    place.run(&["completions", "csh"]).ends(2);
}

#[test]
fn usage_is_said_on_standard_error() {
    let place = Place::new();
    for arguments in [
        &[][..],
        &["tpo"],
        &["show"],
        &["top", "--limit", "-1"],
        &["top", "--requests", "0"],
    ] {
        let said = place.run(arguments).ends(2);
        assert!(said.out.is_empty() && !said.err.is_empty(), "{arguments:?}");
    }
    let similar = place.run(&["completion"]).ends(2).err;
    assert!(similar.contains("'completions'"), "{similar}");
    assert!(
        place
            .run(&["--version"])
            .ends(0)
            .out
            .starts_with("redhanded ")
    );
}
