//! Many short polls: loops that wait for nobody, and those who only look like them.

use redhanded::report::{Class, Confidence, Report, Role};
use redhanded_tests::{Asked, Caught, PATIENCE, SLOW_AFTER, Stall, caught, hangs_without, show};
use std::time::Instant;

fn spinning(name: &str) -> (Stall, Asked) {
    let target = format!("/{name}/42?q=needle");
    hangs_without(&[name], &target);
    let stall = Stall::of(&[name]).start();
    let asked = stall.get(&target);
    (stall, asked)
}

#[track_caller]
fn spins<'s>(stall: &'s Stall, name: &str, function: &str) -> Caught<'s> {
    caught(stall, &format!("/{name}/42"))
        .as_class(Class::SpinLoop)
        .by_role(Role::Culprit)
        .at(function)
        .asked_for("42", "needle")
        .that("with its rate", |r| {
            let rate = r.evidence.as_ref().and_then(|e| e.polls_per_second);
            let says = r.verdict.as_ref().map(|v| v.cause.contains("a second"));
            rate >= Some(100.0) && says == Some(true)
        })
}

/// A machine that did not let it run makes a look find nothing, and say so.
#[track_caller]
fn accuses_of_nothing_else(stall: &Stall) {
    let else_accused = |r: &Report| {
        let verdict = r.verdict.as_ref();
        verdict.is_some_and(|v| {
            !matches!(v.class, Class::SpinLoop | Class::Unknown) && v.role == Role::Culprit
        })
    };
    let records = stall.records();
    assert!(!records.iter().any(else_accused), "{}", show(&records));
}

#[test]
fn a_future_that_wakes_itself() {
    let (stall, _spins) = spinning("wakes_itself");
    spins(&stall, "wakes_itself", "stall::spin::wakes_itself")
        .at_least(Confidence::Proved)
        .and_as_nothing_else();
    stall.is_well();
}

/// Only the name of its leaf tells that it yields; a first line without names accuses nobody.
#[test]
fn a_retry_that_yields() {
    let (stall, _spins) = spinning("retries");
    spins(&stall, "retries", "stall::spin::retries")
        .at_least(Confidence::Likely)
        .at_most(Confidence::Likely);
    accuses_of_nothing_else(&stall);
    stall.is_well();
}

/// What is always ready may be a big transfer: a suspicion, at the right line.
#[test]
fn a_read_that_ignores_the_end() {
    let (stall, _spins) = spinning("ignores_the_end");
    // The other end has closed its side, which tells it from a transfer.
    spins(&stall, "ignores_the_end", "stall::spin::ignores_the_end").at_least(Confidence::Likely);
    accuses_of_nothing_else(&stall);
    stall.is_well();
}

/// They are slow, and are told; but not as loops, and what moves is not accused at all.
#[test]
fn those_who_are_busy_do_not_spin() {
    let names = ["fast_rows", "join_set", "busy_channel"];
    let stall = Stall::of(&names).args(&["--workers", "4"]).start();
    let reading = names.map(|name| {
        let mut asked = stall.get(&format!("/{name}/42"));
        std::thread::spawn(move || asked.answer_within(6 * SLOW_AFTER, |_| false).len())
    });
    for (name, thread) in names.into_iter().zip(reading) {
        assert!(thread.join().expect("no panic") > 0, "{name} is answered");
    }
    stall.counts("in_flight", 0);
    let records = stall.records();
    let spins = |r: &Report| {
        let verdict = r.verdict.as_ref();
        verdict.is_some_and(|v| v.class == Class::SpinLoop)
    };
    assert!(!records.iter().any(spins), "{}", show(&records));
    stall.does_not_report("/fast_rows/42", SLOW_AFTER / 10);
}

#[test]
fn an_upload_at_full_speed_is_no_culprit() {
    const HEAD: &[u8] =
        b"POST /takes_all/42 HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: 99999999999\r\n\r\n";
    let stall = Stall::of(&["takes_all"]).start();
    let mut upload = stall.send(HEAD);
    let begun = Instant::now();
    let block = vec![b'x'; 256 << 10];
    let mut blocks = 0;
    while begun.elapsed() < 5 * SLOW_AFTER {
        upload.send_more(&block).expect("it reads on");
        blocks += 1;
    }
    assert!(blocks > 100, "it moves: {blocks} blocks");
    caught(&stall, "/takes_all/42")
        .by_role(Role::Bystander)
        .never_as_culprit();
    drop(upload);
    stall.counts("in_flight", 0);
    assert!(begun.elapsed() < 5 * SLOW_AFTER + PATIENCE);
}
