//! How requests, and processes, come to their end.

use redhanded::report::{Class, Event, How, Report};
use redhanded_tests::{PATIENCE, Stall, caught, until};

#[test]
fn a_handler_that_panics() {
    let stall = Stall::of(&["panic"]).start();
    let _asked = stall.get("/panic/42");
    caught(&stall, "/panic/42")
        .as_class(Class::StuckAwait)
        .and_ends(How::Panicked, None);
    stall.counts("in_flight", 0);
    stall.is_well();
}

#[test]
fn a_body_that_panics() {
    let stall = Stall::of(&["body_panic"]).start();
    let _asked = stall.get("/body_panic/42");
    caught(&stall, "/body_panic/42")
        .as_class(Class::StuckAwait)
        .and_ends(How::Panicked, Some(200));
    stall.counts("in_flight", 0);
    stall.is_well();
}

#[test]
fn a_client_that_goes_away() {
    let stall = Stall::of(&["sleep"]).start();
    let asked = stall.get("/sleep/42");
    let caught = caught(&stall, "/sleep/42").as_class(Class::StuckAwait);
    drop(asked);
    let end = caught.and_ends(How::Dropped, None);
    let total_ms = end.outcome.expect("it has one").total_ms;
    assert!(total_ms >= 500.0, "it was slow: {total_ms}");
    stall.counts("in_flight", 0);
}

/// Every line of the log but perhaps the last is whole.
fn whole_lines(stall: &Stall) -> Vec<Report> {
    stall.records()
}

/// In the middle of everything: a wake, a capture, a line half written.
#[test]
fn a_process_that_leaves_in_the_middle_of_a_report() {
    for after_ms in [
        "480", "500", "505", "510", "520", "540", "560", "600", "700",
    ] {
        let names = ["sleep", "std_sleep", "channel"];
        let mut stall = Stall::of(&names).args(&["--exit-after", after_ms]).start();
        let _asked = names.map(|name| stall.get(&format!("/{name}/42")));
        let status = stall.exit_within(PATIENCE).expect("it leaves by itself");
        assert_eq!(
            status.code(),
            Some(0),
            "after {after_ms} ms: {status} {}",
            stall.stderr()
        );
        assert!(
            !stall.stderr().contains("panicked"),
            "after {after_ms} ms: {}",
            stall.stderr()
        );
        let _ = whole_lines(&stall);
    }
}

#[test]
fn an_orderly_shutdown_leaves_nothing_unsaid() {
    let mut stall = Stall::of(&["sleep", "channel"])
        .args(&["--shutdown-after", "700"])
        .start();
    let _asked = ["sleep", "channel"].map(|name| stall.get(&format!("/{name}/42")));
    assert_eq!(stall.told("shutdown"), "true");
    let status = stall.exit_within(PATIENCE).expect("it leaves by itself");
    assert_eq!(status.code(), Some(0), "{}", stall.stderr());
    for path in ["/sleep/42", "/channel/42"] {
        let named = |r: &Report| r.verdict.as_ref().is_some_and(|v| v.culprit.is_some());
        let here = |r: &&Report| r.request.as_ref().is_some_and(|q| q.path == path);
        assert!(
            whole_lines(&stall).iter().filter(here).any(named),
            "{path}:\n{}",
            redhanded_tests::show(&stall.records())
        );
    }
}

/// A small file system of its own; seen from here through the process's root.
#[test]
fn a_full_disk_harms_nobody_and_is_made_up_for() {
    let script = r#"mount -t tmpfs -o size=64k none /mnt; exec "$@""#;
    let Some(start) = Stall::of_in_namespace(&["sleep"], script) else {
        eprintln!("skipped: this test may make no mount namespace");
        return;
    };
    let stall = start.args(&["--log", "/mnt/slow.jsonl"]).start_as_is();
    let disk = format!("/proc/{}/root/mnt", stall.pid());
    let (log, filler) = (format!("{disk}/slow.jsonl"), format!("{disk}/filler"));
    let full = std::fs::write(&filler, vec![0; 1 << 20]).expect_err("the disk is small");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let asked = stall.get("/sleep/42");
    stall.counts("caught", 1);
    stall.is_well();
    drop(asked);
    stall.counts("in_flight", 0);
    assert!(
        !std::fs::read_to_string(&log)
            .expect("a log")
            .contains("/sleep/42"),
        "the disk was full"
    );
    std::fs::remove_file(&filler).expect("made above");
    let events = || -> Vec<Event> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .filter_map(|l| serde_json::from_str::<Report>(l).ok())
            .map(|r| r.event)
            .collect()
    };
    let recovered = until(PATIENCE, || events().contains(&Event::Ended).then(events));
    let recovered = recovered.expect("what waited is written when there is room");
    assert!(recovered.contains(&Event::Caught), "{recovered:?}");
    assert_eq!(stall.stats()["lost"], 0, "memory had room for them");
}
