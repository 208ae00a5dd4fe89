//! Trouble of the whole process has a record of its own: once, and again only after it was over.

use redhanded::report::{Class, Confidence, Event, Report, Role, WaitKind};
use redhanded_tests::{PATIENCE, SLOW_AFTER, Stall, caught, show, until};
use std::time::Duration;

fn of_the_process(stall: &Stall) -> Vec<Report> {
    let mut records = stall.records();
    records.retain(|r| r.event == Event::Process);
    records
}

/// The records of the process when there are `wanted`; some time later there must be no more.
#[track_caller]
fn told(stall: &Stall, wanted: usize) -> Vec<Report> {
    let found = until(PATIENCE, || {
        (of_the_process(stall).len() >= wanted).then_some(())
    });
    std::thread::sleep(3 * SLOW_AFTER);
    let records = of_the_process(stall);
    assert!(
        found.is_some() && records.len() == wanted,
        "{} records of the process, not {wanted}\n{}\nthe process said:\n{}",
        records.len(),
        show(&stall.records()),
        stall.stderr()
    );
    assert!(
        records.iter().all(|r| r.request.is_none()),
        "no request is guilty"
    );
    records
}

#[test]
fn workers_that_all_stand_are_told_once_with_who_keeps_them() {
    let stall = Stall::of(&["spin", "std_sleep", "channel"]).start();
    let _waits = stall.get("/channel/1");
    let waits = caught(&stall, "/channel/1").record().id;
    let _keep = (stall.get("/spin/1"), stall.get("/std_sleep/1"));
    let records = told(&stall, 1);
    let ids = ["/spin/1", "/std_sleep/1"].map(|path| caught(&stall, path).record().id);
    let verdict = records[0].verdict.clone().expect("a verdict");
    assert_eq!(
        (verdict.role, verdict.confidence),
        (Role::Bystander, Confidence::Proved),
        "{}",
        verdict.cause
    );
    assert!(matches!(
        verdict.class,
        Class::CpuLoop | Class::BlockedThread
    ));
    assert!(
        ids.iter().all(|id| verdict.cause.contains(id)),
        "{} {ids:?}",
        verdict.cause
    );
    assert!(verdict.holder.is_some_and(|holder| ids.contains(&holder)));
    assert_eq!(verdict.victims, Some(1), "{waits}");
    let evidence = records[0].evidence.clone().expect("evidence");
    let machine = evidence.machine.expect("the machine");
    assert_eq!(
        (machine.workers_busy, machine.workers_total),
        (Some(2), Some(2))
    );
    let functions = evidence.stacks.iter().flat_map(|s| &s.frames);
    let of_spin = |f: &str| f.ends_with("stall::cpu::spin") || f.ends_with("stall::blocked::sleep");
    let shown = functions.filter(|f| f.function.as_deref().is_some_and(of_spin));
    assert!(shown.count() >= 2, "a stack of each\n{}", show(&records));
}

#[test]
fn one_thread_is_all_there_is() {
    let stall = Stall::of(&["std_sleep"])
        .args(&["--current-thread"])
        .start();
    let _keeps = stall.get("/std_sleep/1");
    let verdict = told(&stall, 1).remove(0).verdict.expect("a verdict");
    assert_eq!(
        (verdict.class, verdict.confidence),
        (Class::BlockedThread, Confidence::Proved),
        "{}",
        verdict.cause
    );
}

#[test]
fn one_of_two_workers_is_no_trouble_of_the_process() {
    let stall = Stall::of(&["spin"]).start();
    let _spins = stall.get("/spin/1");
    caught(&stall, "/spin/1").as_class(Class::CpuLoop);
    told(&stall, 0);
}

#[test]
fn tasks_that_nobody_watches_are_told_again_after_they_were_over() {
    let stall = Stall::of(&["unwatched", "channel"]).start();
    let _waits = stall.get("/channel/1");
    for episode in 1..=2 {
        let status = stall.get("/unwatched/2500").status_within(PATIENCE);
        assert_eq!(status, Some(200));
        let records = told(&stall, episode);
        let last = records.last().expect("counted");
        let verdict = last.verdict.clone().expect("a verdict");
        assert_eq!(last.occurrences, Some(episode as u64), "{}", verdict.cause);
        assert_ne!(verdict.confidence, Confidence::Proved, "{}", verdict.cause);
        assert!(verdict.holder.is_none(), "no request has them");
        stall.is_well();
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn workers_that_turn_from_one_long_poll_to_the_next_are_not_wedged() {
    let stall = Stall::of(&["long_polls"]).start();
    let _busy: Vec<_> = (0..4)
        .map(|n| stall.get(&format!("/long_polls/{n}")))
        .collect();
    caught(&stall, "/long_polls/0");
    std::thread::sleep(2 * SLOW_AFTER);
    told(&stall, 0);
}

#[test]
fn a_blocking_pool_that_is_full_is_told_once_with_who_has_it() {
    let stall = Stall::of(&["closure"])
        .args(&["--blocking-threads", "2"])
        .start();
    let _asked: Vec<_> = ["/closure/1", "/closure/2", "/closure/3"]
        .into_iter()
        .map(|path| {
            let asked = stall.get(path);
            std::thread::sleep(SLOW_AFTER / 5);
            asked
        })
        .collect();
    let record = told(&stall, 1).remove(0);
    let verdict = record.verdict.expect("a verdict");
    assert_eq!(
        (verdict.class, verdict.role, verdict.confidence),
        (Class::PoolWait, Role::Bystander, Confidence::Proved),
        "{}",
        verdict.cause
    );
    assert_eq!(verdict.victims, Some(1));
    assert_eq!(
        verdict.waiting_for.map(|w| w.kind),
        Some(WaitKind::BlockingPool)
    );
    let first = caught(&stall, "/closure/1").record().id;
    assert_eq!(verdict.holder, Some(first));
    let machine = record
        .evidence
        .and_then(|e| e.machine)
        .expect("the machine");
    assert_eq!(machine.blocking_threads, Some(2));
}
