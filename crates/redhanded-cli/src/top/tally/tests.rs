use super::*;
use crate::record::parse;
use serde_json::json;

fn tally(lines: &[serde_json::Value]) -> Tally {
    let mut tally = Tally::new(Window::default());
    for line in lines {
        tally.add(&parse(line.to_string().as_bytes()).unwrap());
    }
    tally
}

fn line(event: &str, id: &str, pid: u32, occurrences: u64, elapsed_ms: f64) -> serde_json::Value {
    json!({"schema": "redhanded/1", "event": event, "id": id, "time": "2026-07-01T02:03:04.000005Z",
        "service": {"name": "app", "host": "web-1", "pid": pid}, "elapsed_ms": elapsed_ms,
        "request": {"method": "GET", "route": "/x"}, "fingerprint": "00000000000000aa",
        "occurrences": occurrences,
        "verdict": {"class": "cpu_loop", "role": "culprit", "confidence": "proved", "cause": "c"}})
}

fn ended(id: &str, total_ms: f64) -> serde_json::Value {
    let mut line = line("ended", id, 1, 0, total_ms);
    let fields = line.as_object_mut().unwrap();
    fields.remove("verdict");
    fields.remove("occurrences");
    fields.insert(
        "outcome".to_owned(),
        json!({"how": "completed", "total_ms": total_ms}),
    );
    line
}

#[test]
fn the_count_is_the_sum_over_processes() {
    let tally = tally(&[
        line("caught", "a", 1, 1, 2000.0),
        line("caught", "b", 1, 40, 2000.0),
        line("caught", "c", 2, 7, 2000.0),
    ]);
    assert_eq!(tally.groups.len(), 1);
    let (fingerprint, group) = &tally.groups[0];
    assert_eq!(fingerprint.as_deref(), Some("00000000000000aa"));
    assert_eq!((group.count(), group.requests), (47, 3));
}

#[test]
fn each_request_counts_its_time_once() {
    let all = [
        line("caught", "a", 1, 1, 2000.0),
        line("symbolized", "a", 1, 1, 2000.0),
        line("updated", "a", 1, 1, 4000.0),
        ended("a", 9000.0),
        line("caught", "b", 1, 2, 3000.0),
    ];
    let forward = tally(&all);
    let group = &forward.groups[0].1;
    assert_eq!((group.total_ms, group.longest_ms), (12_000.0, 9000.0));
    assert_eq!((group.requests, group.ended, group.count()), (2, 1, 2));
    let backward: Vec<_> = all.into_iter().rev().collect();
    let group = &tally(&backward).groups[0].1;
    assert_eq!(
        (group.total_ms, group.requests, group.ended),
        (12_000.0, 2, 1)
    );
    assert_eq!(group.roles.culprit, 2);
}

#[test]
fn the_last_word_on_a_role_counts() {
    let mut first = line("caught", "a", 1, 1, 2000.0);
    first["verdict"]["role"] = json!("bystander");
    let tally = tally(&[first, line("symbolized", "a", 1, 1, 2000.0)]);
    let roles = tally.groups[0].1.roles;
    assert_eq!((roles.culprit, roles.victim, roles.bystander), (1, 0, 0));
}

#[test]
fn lines_without_a_fingerprint_find_a_place() {
    let strip = |mut line: serde_json::Value| {
        line.as_object_mut().unwrap().remove("fingerprint");
        line
    };
    let tally = tally(&[
        strip(line("caught", "a", 1, 1, 2000.0)),
        strip(line("caught", "b", 1, 2, 2000.0)),
        strip(ended("a", 5000.0)),
        strip(ended("unknown", 5000.0)),
        json!({"schema": "redhanded/1", "event": "process", "id": "p"}),
    ]);
    assert_eq!(tally.groups.len(), 1);
    assert_eq!(tally.groups[0].0, None);
    assert_eq!(
        (tally.groups[0].1.requests, tally.groups[0].1.ended),
        (2, 1)
    );
    assert_eq!(
        (tally.ends_without_fingerprint, tally.process_events),
        (1, 1)
    );
}

#[test]
fn a_window_leaves_out_what_is_outside() {
    let window = Window {
        since: "2026-07-01T02:03:04.000005Z".parse().ok(),
        until: "2026-07-01T02:03:04.000006Z".parse().ok(),
    };
    let mut tally = Tally::new(window);
    for time in [
        "2026-07-01T02:03:04.000004Z",
        "2026-07-01T04:03:04.000005+02:00",
        "2026-07-01T02:03:04.000006Z",
        "",
    ] {
        let mut one = line("caught", time, 1, 1, 1.0);
        one["time"] = json!(time);
        tally.add(&parse(one.to_string().as_bytes()).unwrap());
    }
    assert_eq!(tally.groups[0].1.requests, 1);
}

/// The promise of `top`: memory by fingerprints and processes, and never by lines.
#[test]
fn memory_grows_with_fingerprints_and_not_with_lines() {
    const IDS: usize = 500;
    let mut tally = Tally::remembering(Window::default(), IDS);
    for number in 0..50_000_u32 {
        let mut one = line("caught", &format!("id {number}"), number % 4, 1, 2000.0);
        one["fingerprint"] = json!(format!("{:016x}", number % 7));
        one["request"]["route"] = json!(format!("/route/{number}"));
        tally.add(&parse(one.to_string().as_bytes()).unwrap());
        if number % 2 == 0 {
            tally.add(
                &parse(
                    ended(&format!("id {number}"), 3000.0)
                        .to_string()
                        .as_bytes(),
                )
                .unwrap(),
            );
        }
    }
    assert_eq!((tally.groups.len(), tally.by_key.len()), (7, 7));
    assert_eq!((tally.processes.len(), tally.process_index.len()), (4, 4));
    assert!(tally.looks.len() <= 2 * IDS, "{}", tally.looks.len());
    for (_, group) in &tally.groups {
        assert!(group.processes.len() <= 4 && group.routes.len() <= 8);
    }
    let requests: u64 = tally.groups.iter().map(|(_, group)| group.requests).sum();
    assert_eq!(requests, 50_000);
}
