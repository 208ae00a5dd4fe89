//! Time in which nobody could do anything: charged to no request, and told once.

use redhanded::report::{Class, Confidence, Event, How, Report, Role};
use redhanded_tests::{Asked, PATIENCE, Quota, SLOW_AFTER, Stall, caught, show, until};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Longer than every threshold here.
const PAUSE: Duration = SLOW_AFTER.saturating_mul(3);
/// What the watchdog meant to sleep, a round of 62 ms, is no part of the pause.
const A_ROUND_MS: f64 = 100.0;

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn of_the_process(stall: &Stall) -> Vec<Report> {
    let mut records = stall.records();
    records.retain(|r| r.event == Event::Process);
    records
}

/// The first record of a pause, when it has come.
#[track_caller]
fn pause_told(stall: &Stall) -> Report {
    let Some(found) = until(PATIENCE, || of_the_process(stall).into_iter().next()) else {
        panic!(
            "a pause should be told\nrecords:\n{}\nthe process said:\n{}",
            show(&stall.records()),
            stall.stderr()
        )
    };
    let verdict = found.verdict.clone().expect("a verdict");
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::MachinePaused, Role::Bystander),
        "{}",
        verdict.cause
    );
    assert!(found.request.is_none(), "no request is guilty");
    found
}

/// Stops the process for [`PAUSE`], or a little more; returns for how long at least.
fn pause(stall: &Stall) -> Duration {
    stall.signal(Signal::STOP);
    let stopped = Instant::now();
    std::thread::sleep(PAUSE);
    let at_least = stopped.elapsed();
    stall.signal(Signal::CONT);
    at_least
}

#[test]
fn a_stopped_process_accuses_nobody_and_says_so_once() {
    let stall = Stall::of(&["nap", "steady", "spin", "channel"]).start();
    // Some of them have just been looked at when the pause begins, and have not moved since.
    let stream = |_| {
        std::thread::sleep(SLOW_AFTER / 100);
        stall.get("/steady/1")
    };
    let mut steady: Vec<Asked> = (0..100).map(stream).collect();
    for stream in &mut steady {
        // Older than the threshold: from now on its rest is what counts.
        let row = |text: &[u8]| String::from_utf8_lossy(text).contains("row 7");
        assert!(row(stream.answer_within(PATIENCE, row)), "it moves");
    }
    let begun = Instant::now();
    let _spins = stall.get("/spin/1");
    let waits = stall.get("/channel/1");
    let mut nap = stall.get("/nap/1");
    std::thread::sleep(SLOW_AFTER / 5);
    let at_least = pause(&stall);
    assert_eq!(nap.status_within(PATIENCE), Some(200));
    let found = pause_told(&stall);
    let lasted_ms = found.elapsed_ms.expect("measured");
    assert!(
        lasted_ms >= ms(at_least) - A_ROUND_MS,
        "{lasted_ms} ms of {at_least:?}"
    );
    let verdict = found.verdict.clone().unwrap_or_default();
    assert!(
        verdict.confidence < Confidence::Proved,
        "nothing proves a stop: {verdict:?}"
    );
    // The guilty are caught all the same, and are only as old as they are without the pause.
    let charged_ms = || ms(begun.elapsed().saturating_sub(at_least)) + A_ROUND_MS;
    let spin = caught(&stall, "/spin/1").as_class(Class::CpuLoop);
    assert!(spin.record().elapsed_ms.expect("measured") <= charged_ms());
    let channel = caught(&stall, "/channel/1").as_class(Class::StuckAwait);
    drop(waits);
    let end = channel.and_ends(How::Dropped, None);
    let total_ms = end.outcome.expect("it has one").total_ms;
    assert!(
        total_ms <= charged_ms(),
        "{total_ms} ms of {}",
        charged_ms()
    );
    stall.does_not_report("/nap/1", SLOW_AFTER / 5);
    stall.does_not_report("/steady/1", SLOW_AFTER / 5);
    let all = of_the_process(&stall);
    assert_eq!(all.len(), 1, "told once:\n{}", show(&all));
    stall.counts("internal_errors", 0);
}

#[test]
fn a_used_up_cpu_quota_is_told() {
    // Two that loop use up what there is for a second in half of that.
    let quota = Quota {
        each_us: 1_000_000,
        of_that_us: 300_000,
    };
    let Some(group) = quota.group() else {
        eprintln!("skipped: this test may make no control group");
        return;
    };
    let stall = Stall::behind(&["spin"], &group.script()).start();
    let _spin = [stall.get("/spin/1"), stall.get("/spin/2")];
    let found = pause_told(&stall);
    let verdict = found.verdict.clone().unwrap_or_default();
    assert!(
        verdict.cause.contains("CPU quota was used up") && verdict.confidence >= Confidence::Likely,
        "{verdict:?}"
    );
    let throttled_ms = |r: &Report| r.evidence.as_ref()?.machine.as_ref()?.cpu_throttled_ms;
    let lasted_ms = found.elapsed_ms.expect("measured");
    assert!(
        throttled_ms(&found) >= Some(lasted_ms / 2.0),
        "{:?} of {lasted_ms} ms",
        throttled_ms(&found)
    );
    // Who is caught on a throttled machine says that it is one.
    caught(&stall, "/spin/1")
        .as_class(Class::CpuLoop)
        .that("with the time throttled", move |r| {
            throttled_ms(r) > Some(0.0)
        });
    assert!(of_the_process(&stall).len() <= 5, "in one minute");
}
