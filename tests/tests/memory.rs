//! Requests whose memory grows without bound, and those that only look like it.

use redhanded::report::{Class, Confidence, Report, Role};
use redhanded_tests::{PATIENCE, SLOW_AFTER, Stall, caught, hangs_without, until};
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Memory of a process that is in use, in bytes.
fn resident(stall: &Stall) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", stall.pid()));
    let statm = statm.expect("it runs");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|p| p.parse::<u64>().ok());
    pages.expect("resident pages") * 4096
}

/// The process that serves `names` without us grows by so much when it is asked for `path`.
fn grows_without(names: &[&str], path: &str, bytes: u64) {
    let alone = Stall::of(names).args(&["--without"]).start();
    let before = resident(&alone);
    let _asked = alone.get(path);
    let grown = until(PATIENCE, || {
        (resident(&alone) > before + bytes).then_some(())
    });
    assert!(grown.is_some(), "{path} grows without us");
}

fn counted(report: &Report) -> u64 {
    let evidence = report.evidence.as_ref();
    evidence.and_then(|e| e.alloc_bytes).unwrap_or(0)
}

/// A loop that collects, in one poll: a loop first, and growth when that is worse.
#[test]
fn a_loop_that_hoards_in_one_poll() {
    grows_without(&["hoards"], "/hoards/42", 40 * MIB);
    hangs_without(&["hoards"], "/hoards/42");
    let stall = Stall::of(&["hoards"]).start();
    let _hangs = stall.get("/hoards/42?q=needle");
    caught(&stall, "/hoards/42")
        .as_class(Class::MemoryGrowth)
        .by_role(Role::Culprit)
        .at_least(Confidence::Likely)
        .at("stall::memory::hoard")
        .asked_for("42", "needle")
        .that("with figures", |r| {
            let cause = r.verdict.as_ref().map_or("", |v| &v.cause);
            cause.contains("MiB more than it freed") && counted(r) > 64 * MIB
        });
    stall.is_well();
}

#[test]
fn a_handler_that_collects_between_its_polls() {
    hangs_without(&["collects"], "/collects/42");
    let stall = Stall::of(&["collects"]).start();
    let _hangs = stall.get("/collects/42?q=needle");
    caught(&stall, "/collects/42")
        .as_class(Class::MemoryGrowth)
        .by_role(Role::Culprit)
        .at_least(Confidence::Likely)
        .at("stall::memory::collect")
        .asked_for("42", "needle");
    stall.is_well();
}

/// An event stream whose client reads nothing may rest for hours, and is never overdue.
#[test]
fn a_channel_without_a_bound_that_nobody_reads() {
    grows_without(&["unread"], "/unread/42", 40 * MIB);
    let stall = Stall::of(&["unread"]).start();
    let _reads_nothing = stall.get("/unread/42?q=needle");
    caught(&stall, "/unread/42")
        .as_class(Class::MemoryGrowth)
        .by_role(Role::Culprit)
        .at_least(Confidence::Likely)
        .at("stall::memory::produce")
        .asked_for("42", "needle")
        .and_as_nothing_else();
    stall.is_well();
}

/// The child that goes on without its request is told of by itself.
#[test]
fn a_task_that_outlives_its_stream_and_collects() {
    let stall = Stall::of(&["follows"]).start();
    drop(stall.get("/follows/42?q=needle"));
    caught(&stall, "/follows/42")
        .as_class(Class::MemoryGrowth)
        .by_role(Role::Culprit)
        .at("stall::memory::collect")
        .asked_for("42", "needle")
        .that("as a task of its request", |r| {
            r.verdict
                .as_ref()
                .is_some_and(|v| v.cause.contains("task of this request"))
        })
        .and_as_nothing_else();
    stall.is_well();
}

/// The same with a client that reads: nothing to report, nor when rows are freed by the connection,
/// although the process grows by the fault of another.
#[test]
fn streams_that_are_read_do_not_grow() {
    let stall = Stall::of(&["is_read", "fresh_rows", "collects"])
        .args(&["--workers", "3"])
        .start();
    let _grows = stall.get("/collects/42");
    let paths = ["/is_read/42", "/fresh_rows/42"];
    let reading = paths.map(|path| {
        let mut asked = stall.get(path);
        std::thread::spawn(move || asked.discard_for(20 * SLOW_AFTER))
    });
    let read = reading.map(|thread| thread.join().expect("no panic"));
    assert!(
        read.iter().all(|bytes| *bytes > 2 * MIB),
        "they move: {read:?}"
    );
    caught(&stall, "/collects/42").as_class(Class::MemoryGrowth);
    for path in paths {
        stall.does_not_report(path, Duration::ZERO);
    }
}

/// They hang or run long, and are reported; but not for their memory.
#[test]
fn who_holds_much_or_allocates_much_does_not_grow() {
    let names = ["one_buffer", "churns", "fills_a_cache", "hands_on"];
    let stall = Stall::of(&names).start();
    let paths = names.map(|name| format!("/{name}/42"));
    let _hang = paths.each_ref().map(|path| stall.get(path));
    let known = paths
        .each_ref()
        .map(|path| caught(&stall, path).that("with what it allocated", |r| counted(r) > MIB));
    // Long enough for every look that a growing one would have had.
    std::thread::sleep(Duration::from_secs(6));
    for record in stall.records() {
        let class = record.verdict.as_ref().map(|v| v.class);
        assert_ne!(
            class,
            Some(Class::MemoryGrowth),
            "{}",
            redhanded_tests::show(&[record])
        );
    }
    drop(known);
    stall.is_well();
}
