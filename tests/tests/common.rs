//! What culprits have in common: in the reports of one process, and over the logs of several days.

use redhanded::report::{Report, Role};
use redhanded_tests::{PATIENCE, Stall, caught};
use std::path::Path;
use std::process::Command;

/// Normal requests of a process before anything hangs.
const CROWD: u32 = 300;

/// A process that has served a crowd with all kinds of parameters, on two routes.
fn after_a_crowd(seed: u32) -> Stall {
    let stall = Stall::of(&["shop", "nap"]).start();
    let mut asked = stall.get("/healthy");
    for n in 0..CROWD {
        assert!(asked.body_within(PATIENCE).is_some(), "request {n}");
        asked = asked.get_again(&target(seed.wrapping_mul(7_919).wrapping_add(n)));
    }
    assert!(asked.body_within(PATIENCE).is_some());
    stall
}

/// The request `n`: no sort that hangs, and no long word.
fn target(n: u32) -> String {
    let n = n.wrapping_mul(2_654_435_761) >> 8;
    if n.is_multiple_of(10) {
        return "/healthy?sort=price".to_owned();
    }
    let word = "x".repeat((n % 13) as usize);
    let mut target = format!("/shop/{}?q={word}&token=hunter{n}", n % 17);
    if n.is_multiple_of(3) {
        target += &format!("&page={}", n % 40);
    }
    if n.is_multiple_of(4) {
        target += ["&sort=date", "&sort=name"][(n / 4 % 2) as usize];
    }
    target
}

/// The report of the culprit that asked for `/shop/{id}`.
fn culprit(stall: &Stall, id: &str) -> Report {
    let has_baseline = |r: &Report| r.evidence.as_ref().is_some_and(|e| e.baseline.is_some());
    caught(stall, &format!("/shop/{id}"))
        .by_role(Role::Culprit)
        .that("compared with normal requests", has_baseline)
        .record()
}

fn named(report: &Report) -> Vec<String> {
    let params = report.verdict.iter().flat_map(|v| &v.params);
    params.map(|param| param.feature().to_string()).collect()
}

fn no_secret(stall: &Stall) {
    let log = std::fs::read_to_string(stall.log()).expect("a log");
    assert!(!log.contains("hunter"), "a secret is in the log");
}

#[test]
fn the_reports_of_one_process_name_the_parameter() {
    let stall = after_a_crowd(1);
    let mut hangs = Vec::new();
    for id in ["3", "5", "7"] {
        let sort = format!("/shop/{id}?q=xyz{id}&sort=price&token=hunter2");
        hangs.push(stall.get(&sort));
        culprit(&stall, id);
    }
    let third = culprit(&stall, "7");
    assert_eq!(named(&third), ["query.sort = price"]);
    let param = third
        .verdict
        .map(|v| v.params[0].clone())
        .unwrap_or_default();
    assert_eq!((param.with, param.of, param.baseline_with), (3, 3, 0));
    assert!(param.baseline_of >= 100, "{}", param.baseline_of);
    assert_eq!(
        named(&culprit(&stall, "3")),
        [""; 0],
        "one alone shares nothing"
    );
    // Another cause on the same route is another fingerprint: what they share is the length.
    for (id, letter) in [("9", "x"), ("11", "y"), ("13", "z")] {
        let long = format!("/shop/{id}?q={}&token=hunter2", letter.repeat(30));
        hangs.push(stall.get(&long));
        culprit(&stall, id);
    }
    assert_eq!(
        named(&culprit(&stall, "13")),
        ["query.q has 24 bytes or more"]
    );
    no_secret(&stall);
    stall.is_well();
}

#[test]
fn culprits_of_three_days_are_explained_on_the_third() {
    let mut stalls = Vec::new();
    let mut hangs = Vec::new();
    for (seed, id) in [(1, "3"), (2, "5"), (3, "7")] {
        let stall = after_a_crowd(seed);
        hangs.push(stall.get(&format!("/shop/{id}?q=xyz{id}&sort=price&token=hunter2")));
        let report = culprit(&stall, id);
        assert_eq!(named(&report), [""; 0]);
        no_secret(&stall);
        stalls.push((stall, report));
    }
    let fingerprints: Vec<_> = stalls.iter().map(|(_, r)| r.fingerprint.clone()).collect();
    assert!(
        fingerprints.windows(2).all(|two| two[0] == two[1]),
        "{fingerprints:?}"
    );
    let fingerprint = fingerprints[0].clone().expect("a fingerprint");
    let logs: Vec<&Path> = stalls.iter().map(|(stall, _)| stall.log()).collect();
    let said = explain(&fingerprint, &logs);
    assert!(said.contains("3 culprits of 3 processes"), "{said}");
    assert!(
        said.contains("  query.sort = price\n    3 of 3 culprits, 0 of "),
        "{said}"
    );
    assert_eq!(
        said.matches(" normal requests; by chance").count(),
        1,
        "{said}"
    );
    assert!(!said.contains("hunter"), "{said}");
    // On the first day it is a hint, and says what it lacks.
    let said = explain(&fingerprint, &logs[..1]);
    assert!(said.contains("not significant"), "{said}");
    assert!(
        said.contains("query.sort = price\n    1 of 1 culprit, 0 of "),
        "{said}"
    );
}

/// What `redhanded explain` says.
fn explain(fingerprint: &str, logs: &[&Path]) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/redhanded-cli/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["run", "-q", "--manifest-path"])
        .arg(manifest)
        .args(["--", "explain", fingerprint])
        .args(logs)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{err}");
    said
}
