//! `redhanded top`.

use crate::run::{EXAMPLE, EXAMPLE_ID, Place, caught, ended, line, log};
use redhanded_report::{Peer, Report, Role};
use serde_json::json;

fn with(mut report: Report, change: impl FnOnce(&mut Report)) -> Report {
    change(&mut report);
    report
}

#[test]
fn the_example_is_ranked() {
    let place = Place::new();
    place.write("slow-requests.jsonl", EXAMPLE);
    let said = place.run(&["top"]).ends(0);
    let expected = format!(
        "count    time  class     route                culprit
    3  7.81 s  cpu_loop  GET /search/{{index}}  app::search::matches src/search.rs:41
    proved; 1 process on web-3; 1 with lines, all ended; longest 7.81 s
    2026-07-01T02:03:06.012345Z to 2026-07-01T02:03:11.812345Z; fingerprint 9c41f0d2a7be5316; redhanded show {EXAMPLE_ID}

2 records in 1 file, 2026-07-01T02:03:06.012345Z to 2026-07-01T02:03:11.812345Z
"
    );
    assert_eq!(said.out, expected);
    assert_eq!(said.err, "");
}

#[test]
fn many_hosts_and_files_are_one_ranking() {
    let place = Place::new();
    let (a, b, c) = (
        caught(1, "app::a"),
        caught(2, "app::bb"),
        caught(3, "app::bb"),
    );
    let elsewhere = with(c, |report| {
        report.service.host = Some("web-2".to_owned());
        report.occurrences = Some(1_234_566);
    });
    let end = ended(&a, 100_000.0);
    place.write("one.jsonl", log(&[a, b]));
    place.write("two.jsonl", log(&[elsewhere, end]));
    let files = ["one.jsonl", "two.jsonl"];

    let text = place
        .run(&[&["top", "--requests", "10000000"][..], &files].concat())
        .ends(0)
        .out;
    let first = text.lines().nth(1).unwrap();
    assert!(
        first.starts_with("1,234,567     123456.7         4 s  cpu_loop"),
        "{text}"
    );
    assert!(first.ends_with("app::bb src/a.rs:41"), "{text}");
    assert!(text.contains("2 processes on 2 hosts"), "{text}");

    let by_time = place
        .run(&[&["top", "--json", "--by", "time"][..], &files].concat())
        .ends(0)
        .json();
    assert_eq!(by_time["format"], "redhanded-top/1");
    assert_eq!(by_time["files"], 2);
    assert_eq!(by_time["culprits"][0]["culprit"]["function"], "app::a");
    assert_eq!(by_time["culprits"][0]["total_ms"], 100_000.0);
    assert_eq!(by_time["culprits"][0]["ended"], 1);
    assert_eq!(by_time["culprits"][1]["count"], 1_234_567);
    assert_eq!(by_time["culprits"][1]["hosts"], json!(["web-1", "web-2"]));
    assert_eq!(by_time["culprits"][1]["per_million"], json!(null));

    let last = place
        .run(
            &[
                &["top", "--json", "--by", "last", "--limit", "1"][..],
                &files,
            ]
            .concat(),
        )
        .ends(0)
        .json();
    assert_eq!(last["culprits"][0]["culprit"]["function"], "app::bb");
    assert_eq!(
        (
            &last["culprits_total"],
            last["culprits"].as_array().unwrap().len()
        ),
        (&json!(2), 1)
    );
}

#[test]
fn victims_are_counted_and_not_accused() {
    let place = Place::new();
    let role = |report, role| {
        with(report, |report| {
            report.verdict.as_mut().unwrap().role = role
        })
    };
    place.write(
        "log",
        log(&[
            caught(1, "app::guilty"),
            role(caught(2, "app::late"), Role::Victim),
            role(caught(3, "app::late"), Role::Victim),
            role(caught(4, "app::client_is_slow"), Role::Bystander),
        ]),
    );
    let said = place.run(&["top", "log"]).ends(0);
    assert!(!said.out.contains("app::late"), "{}", said.out);
    assert!(
        said.out.contains(
            "not to blame: 2 victims in 1 place, 1 bystander in 1 place: --all lists them"
        ),
        "{}",
        said.out
    );
    let all = place.run(&["top", "--all", "log"]).ends(0).out;
    assert!(
        all.contains("app::late") && all.contains("app::client_is_slow"),
        "{all}"
    );
    let json = place.run(&["top", "--json", "--all", "log"]).ends(0).json();
    assert_eq!(json["victims"], json!({"fingerprints": 1, "count": 2}));
    assert_eq!(
        json["others"][0]["roles"],
        json!({"culprit": 0, "victim": 2, "bystander": 0})
    );

    place.write(
        "innocent",
        line(&role(caught(2, "app::late"), Role::Victim)),
    );
    let said = place.run(&["top", "innocent"]).ends(1);
    assert_eq!(
        said.err,
        "redhanded: no culprit among the runaways that were read\n"
    );
    assert!(said.out.contains("1 victim in 1 place"), "{}", said.out);
}

#[test]
fn the_host_that_does_not_answer_is_named() {
    let place = Place::new();
    let waiting = with(caught(1, "app::fetch"), |report| {
        let mut peer = Peer::default();
        (peer.name, peer.port) = (Some("api".to_owned()), Some(443));
        peer.inferred = true;
        report.verdict.as_mut().unwrap().peer = Some(peer);
    });
    place.write("log", log(&[waiting]));
    let text = place.run(&["top", "log"]).ends(0).out;
    let first = text.lines().nth(1).unwrap();
    assert!(
        first.ends_with("app::fetch src/a.rs:41 to api:443 (inferred)"),
        "{text}"
    );
    let json = place.run(&["top", "--json", "log"]).ends(0).json();
    assert_eq!(
        json["culprits"][0]["peer"],
        json!({"name": "api", "address": null, "port": 443, "inferred": true})
    );
}

#[test]
fn a_window_of_time_is_respected() {
    let place = Place::new();
    place.write(
        "log",
        log(&[
            caught(1, "app::a"),
            caught(2, "app::bb"),
            caught(3, "app::ccc"),
        ]),
    );
    let window = [
        "--since",
        "2026-07-01T02:00:02Z",
        "--until",
        "2026-07-01T02:00:03Z",
    ];
    let said = place
        .run(&[&["top", "--json", "log"][..], &window].concat())
        .ends(0);
    let json = said.json();
    assert_eq!(json["culprits_total"], 1);
    assert_eq!(json["culprits"][0]["culprit"]["function"], "app::bb");
    let wrong = place.run(&["top", "--since", "yesterday", "log"]).ends(2);
    assert!(
        wrong.err.contains("'yesterday'") && wrong.err.contains("--since"),
        "{}",
        wrong.err
    );
}

/// Rotated files are named newest first, and by a glob in any order.
#[test]
fn the_order_of_files_does_not_matter() {
    let place = Place::new();
    let restarted = |occurrences, number| {
        with(caught(number, "app::a"), |report| {
            report.occurrences = Some(occurrences)
        })
    };
    place.write("log.1", log(&[restarted(1, 1), restarted(90, 2)]));
    place.write("log", log(&[restarted(1, 3), restarted(4, 4)]));
    for files in [["log", "log.1"], ["log.1", "log"]] {
        let json = place
            .run(&[&["top", "--json"][..], &files].concat())
            .ends(0)
            .json();
        assert_eq!(
            json["culprits"][0]["count"], 94,
            "the process was started anew in between"
        );
    }
    let twice = place.run(&["top", "--json", "log", "./log"]).ends(0);
    assert_eq!(twice.json()["culprits"][0]["requests"], 2);
    assert_eq!(twice.err, "redhanded: ./log: named twice, read once\n");
}
