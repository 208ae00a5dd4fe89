//! Requests that are late because others keep the workers from them.

use redhanded::report::{Class, Confidence, Role};
use redhanded_tests::{Asked, Caught, PATIENCE, Stall, caught};
use std::sync::Mutex;

/// One at a time: there are no more cores than hogs.
static CPU: Mutex<()> = Mutex::new(());

/// Connections that are open and were served: nothing is left to do but the request itself.
fn connected(stall: &Stall, connections: usize) -> Vec<Asked> {
    let open = |_| {
        let mut asked = stall.get("/healthy");
        assert!(asked.body_within(PATIENCE).is_some(), "healthy at first");
        asked
    };
    (0..connections).map(open).collect()
}

#[track_caller]
fn hog<'s>(stall: &'s Stall, path: &str) -> Caught<'s> {
    caught(stall, path)
        .as_class(Class::CpuLoop)
        .by_role(Role::Culprit)
        .at("stall::cpu::spin")
        .and_as_nothing_else()
}

#[track_caller]
fn names_a_hog(stall: &Stall, hogs: &[&str]) {
    let victim = caught(stall, "/late/1")
        .as_class(Class::Starved)
        .by_role(Role::Victim)
        .at_least(Confidence::Likely)
        .that("naming a hog", |r| {
            r.verdict.as_ref().is_some_and(|v| v.victim_of.is_some())
        })
        .never_as_culprit();
    let ids: Vec<String> = hogs
        .iter()
        .map(|path| hog(stall, path).record().id)
        .collect();
    let blamed = victim
        .record()
        .verdict
        .and_then(|v| v.victim_of)
        .expect("it names one");
    assert!(
        ids.contains(&blamed),
        "{victim:?} blames {blamed}, and the hogs are {ids:?}\n{}",
        redhanded_tests::show(&stall.records())
    );
}

#[test]
fn two_hogs_on_two_workers_and_their_victim() {
    let _alone = CPU.lock();
    let stall = Stall::of(&["spin", "late"])
        .args(&["--workers", "2"])
        .start();
    let connections = connected(&stall, 3);
    let targets = ["/late/1", "/spin/1", "/spin/2"];
    let asked: Vec<Asked> = connections
        .into_iter()
        .zip(targets)
        .map(|(c, target)| c.get_again(target))
        .collect();
    names_a_hog(&stall, &["/spin/1", "/spin/2"]);
    drop(asked);
}

#[test]
fn one_hog_on_the_only_thread_and_its_victim() {
    let _alone = CPU.lock();
    let stall = Stall::of(&["spin", "late"])
        .args(&["--current-thread"])
        .start();
    let connections = connected(&stall, 2);
    let asked: Vec<Asked> = connections
        .into_iter()
        .zip(["/late/1", "/spin/1"])
        .map(|(c, target)| c.get_again(target))
        .collect();
    names_a_hog(&stall, &["/spin/1"]);
    drop(asked);
}

/// The same without us, on both: the one who would be ready is not answered.
#[test]
fn without_us_the_victim_is_not_answered_either() {
    let _alone = CPU.lock();
    for args in [
        ["--without", "--workers", "2"].as_slice(),
        &["--without", "--current-thread"],
    ] {
        let stall = Stall::of(&["spin", "late"]).args(args).start();
        let mut connections = connected(&stall, 3).into_iter();
        let mut late = connections.next().expect("three").get_again("/late/1");
        let _hogs: Vec<Asked> = connections.map(|c| c.get_again("/spin/1")).collect();
        assert_eq!(
            late.body_within(redhanded_tests::SLOW_AFTER),
            None,
            "{args:?}"
        );
    }
}
