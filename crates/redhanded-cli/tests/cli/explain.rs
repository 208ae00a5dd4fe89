//! `redhanded explain`.

use crate::run::{EXAMPLE, Place, caught, ended, id, line, log};
use redhanded_report::{Baseline, Event, Evidence, Feature, FeatureKind, Report, Role, Usual};

const FINGERPRINT: &str = "0000000000000006";

/// A culprit that asked for `sort`, in the process `pid`, and how usual that is there.
fn culprit(number: u32, pid: u32, sort: &str, (with, of): (u64, u64)) -> Report {
    let mut report = caught(number, "app::a");
    report.service.pid = Some(pid);
    if let Some(request) = &mut report.request {
        request.params.query.insert("sort".into(), sort.into());
    }
    let usual =
        |kind, value: &str, requests| Usual::new(Feature::new("query.sort", kind, value), requests);
    let mut baseline = Baseline::default();
    baseline.requests = of;
    baseline.compared = 40;
    baseline.features = vec![
        usual(FeatureKind::Present, "", of / 2),
        usual(FeatureKind::Value, sort, with),
        usual(FeatureKind::Text, "", of / 2),
    ];
    let mut evidence = Evidence::default();
    evidence.baseline = (of > 0).then_some(baseline);
    report.evidence = Some(evidence);
    report
}

#[test]
fn three_days_of_three_processes_are_put_together() {
    let place = Place::new();
    for day in 1..=3 {
        let one = culprit(day, day, "price", (day as u64 - 1, 100));
        place.write(
            &format!("day{day}"),
            log(&[one.clone(), ended(&one, 9_000.0)]),
        );
    }
    let said = place
        .run(&["explain", FINGERPRINT, "day1", "day2", "day3"])
        .ends(0);
    assert_eq!(said.err, "");
    let p = said.out.split("p = ").nth(1).unwrap_or_default().trim();
    assert_eq!(
        said.out.replace(p, "P"),
        "cpu_loop at app::a src/a.rs:41, GET /search/{index}\n  \
         3 culprits of 3 processes, 2026-07-01T02:00:01.000001Z to 2026-07-01T02:00:03.000001Z\n  \
         compared with 300 normal requests of the route\n  \
         fingerprint 0000000000000006; redhanded show 01KWE5H2Z80000000000000003\n\n\
         the culprits share, and normal requests do not:\n  query.sort = price\n    \
         3 of 3 culprits, 3 of 300 normal requests; by chance: p = P\n"
    );
    let p: f64 = p.parse().unwrap();
    // 20 / C(303, 3), for 120 features.
    assert!((p / (120.0 * 20.0 / 4_590_551.0) - 1.0).abs() < 0.05, "{p}");
    let json = place
        .run(&["explain", "--json", "00000", "day1", "day2", "day3"])
        .ends(0)
        .json();
    assert_eq!(json["format"], "redhanded-explain/1");
    assert_eq!(
        (&json["culprits"], &json["normal"]),
        (&3.into(), &300.into())
    );
    assert_eq!(json["shared"].as_array().unwrap().len(), 1);
    assert_eq!(json["shared"][0]["value"], "price");
    assert_eq!(json["hints"].as_array().unwrap().len(), 0);
}

#[test]
fn the_readme_shows_what_is_said() {
    let readme = include_str!("../../../../README.md");
    let place = Place::new();
    place.write(
        "log",
        include_str!("../../../redhanded-report/fixtures/three_days.jsonl"),
    );
    let said = place.run(&["explain", "4be1", "log"]).ends(0);
    assert_eq!(said.err, "");
    assert!(
        readme.contains(&format!("```text\n{}```", said.out)),
        "{}",
        said.out
    );
}

/// Later looks at one culprit are one culprit, and of a process the line that knew most counts.
#[test]
fn a_culprit_counts_once_and_a_process_too() {
    let place = Place::new();
    let mut lines = Vec::new();
    for number in 1..=3 {
        let one = culprit(number, 7, "price", (0, 50 * u64::from(number)));
        let mut later = culprit(number, 7, "price", (1, 50 * u64::from(number) + 1));
        later.event = Event::Updated;
        later.time = one.time.replace("02:00", "03:00");
        lines.extend([one, later]);
    }
    // A line without names, which knows nothing of normal requests, comes before one that does.
    let mut raw = culprit(4, 7, "price", (0, 0));
    raw.time = raw.time.replace("02:00", "04:00");
    let mut named = culprit(4, 7, "price", (1, 151));
    named.event = Event::Symbolized;
    named.time.clone_from(&raw.time);
    lines.extend([raw, named]);
    place.write("log", log(&lines));
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(
        said.out.contains("4 culprits of 1 process,"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("4 of 4 culprits, 1 of 151 normal requests"),
        "{}",
        said.out
    );
    lines.reverse();
    place.write("log", log(&lines));
    let backwards = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert_eq!(said.out, backwards.out);
}

#[test]
fn chance_is_said_to_be_chance() {
    let place = Place::new();
    let two = [
        culprit(1, 7, "price", (40, 200)),
        culprit(2, 7, "price", (40, 200)),
    ];
    place.write("log", log(&two));
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(
        said.out
            .contains("nothing in common that chance does not explain"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains(
            "2 of 2 culprits, 40 of 200 normal requests; 4 more culprits with it would be enough"
        ),
        "{}",
        said.out
    );
    let different = [
        culprit(1, 7, "price", (0, 200)),
        culprit(2, 7, "date", (0, 200)),
    ];
    place.write("log", log(&different));
    let json = place
        .run(&["explain", "--json", FINGERPRINT, "log"])
        .ends(0)
        .json();
    assert_eq!(json["shared"].as_array().unwrap().len(), 0);
}

#[test]
fn one_culprit_gives_a_hint() {
    let place = Place::new();
    place.write("log", line(&culprit(1, 7, "price", (1, 500))));
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(said.out.contains("rare among normal requests; a hint, not significant:\n  query.sort = price\n    1 of 1 culprit, 1 of 500"), "{}", said.out);
    place.write("log", line(&culprit(1, 7, "price", (0, 0))));
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(said.out.contains("nothing to compare with"), "{}", said.out);
}

#[test]
fn victims_are_counted_and_not_compared() {
    let place = Place::new();
    let mut lines: Vec<Report> = (1..=3).map(|n| culprit(n, 7, "price", (0, 200))).collect();
    for (number, role) in [(4, Role::Victim), (5, Role::Bystander)] {
        let mut other = culprit(number, 7, "date", (60, 200));
        other.verdict.as_mut().unwrap().role = role;
        lines.push(other);
    }
    // Thought guilty, and found innocent.
    let first = culprit(6, 7, "date", (60, 200));
    let mut later = first.clone();
    later.event = Event::Updated;
    later.time = "2026-07-01T03:00:00.000001Z".to_owned();
    later.verdict.as_mut().unwrap().role = Role::Victim;
    lines.extend([first, later]);
    place.write("log", log(&lines));
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(
        said.out.contains("3 of 3 culprits, 0 of 200"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("not compared: 3 requests late"),
        "{}",
        said.out
    );
}

#[test]
fn what_is_asked_for_must_be_one() {
    let place = Place::new();
    let mut other = culprit(2, 7, "price", (0, 200));
    other.fingerprint = Some("0000000000000007".to_owned());
    place.write("log", log(&[culprit(1, 7, "price", (0, 200)), other]));
    let said = place.run(&["explain", "00000", "log"]).ends(2);
    assert!(
        said.err
            .contains("fits 2 fingerprints:\nredhanded:   0000000000000006\n"),
        "{}",
        said.err
    );
    place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    let said = place.run(&["explain", "ff", "log"]).ends(1);
    assert_eq!(
        said.err,
        "redhanded: no culprit with the fingerprint \"ff\": 2 records were read\n"
    );
    place.run(&["explain", "", "log"]).ends(2);
    place.run(&["explain"]).ends(2);
    let said = place.run(&["explain", FINGERPRINT, "log", "gone"]).ends(3);
    assert!(
        said.out.contains("1 culprit"),
        "what could be read is said: {}",
        said.out
    );
}

/// A record of before there was a baseline, and one of a writer that knows more kinds.
#[test]
fn older_and_newer_lines_are_read() {
    let place = Place::new();
    place.write("log", EXAMPLE);
    let said = place.run(&["explain", "9c41", "log"]).ends(0);
    assert!(said.out.contains("nothing to compare with"), "{}", said.out);
    let newer = log(&[
        culprit(1, 7, "price", (0, 200)),
        culprit(2, 7, "price", (0, 200)),
    ]);
    let newer = newer.replace("\"kind\":\"text\"", "\"kind\":\"shape\",\"more\":[1]");
    place.write("log", newer);
    let said = place.run(&["explain", FINGERPRINT, "log"]).ends(0);
    assert!(said.out.contains("query.sort = price"), "{}", said.out);
}

/// Counts that nobody can have counted, and that contradict each other.
#[test]
fn absurd_counts_prove_nothing() {
    let place = Place::new();
    let absurd = [(u64::MAX, u64::MAX), (u64::MAX, 1), (0, u64::MAX), (7, 3)];
    for counts in absurd {
        let lines: Vec<Report> = (1..=3).map(|n| culprit(n, n, "price", counts)).collect();
        place.write("log", log(&lines));
        place.write("one", line(&lines[0]));
        for file in ["log", "one"] {
            let json = place
                .run(&["explain", "--json", FINGERPRINT, file])
                .ends(0)
                .json();
            assert_eq!(json["shared"].as_array().unwrap().len(), 0, "{counts:?}");
        }
    }
}

#[test]
fn nothing_in_a_log_can_steer_the_terminal() {
    let place = Place::new();
    let evil: Vec<Report> = (1..=3)
        .map(|n| culprit(n, 7, "\u{1b}[2J\u{202e}", (0, 200)))
        .collect();
    place.write("log", log(&evil));
    for arguments in [
        &["explain", "0000", "log"][..],
        &["explain", "--json", "0000", "log"],
    ] {
        let said = place.run(arguments).ends(0);
        assert!(!said.out.contains(['\u{1b}', '\u{202e}']), "{}", said.out);
    }
    assert_eq!(id(1).len(), 26);
}

/// Thousands of culprits whose values are all different.
#[test]
fn many_culprits_take_bounded_time() {
    let place = Place::new();
    let lines: Vec<Report> = (1..=9_999)
        .map(|n| culprit(n, n % 50, &format!("v{n}"), (0, 256)))
        .collect();
    place.write("log", log(&lines));
    let json = place
        .run(&["explain", "--json", FINGERPRINT, "log"])
        .ends(0)
        .json();
    assert_eq!(json["culprits"], 9_999);
    assert_eq!(json["processes"], 50);
}
