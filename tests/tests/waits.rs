//! Futures that stay pending.

use redhanded::report::{Class, Confidence, Role, WaitKind};
use redhanded_tests::{Asked, Caught, PATIENCE, SLOW_AFTER, Stall, caught, hangs_without};

fn hanging(name: &str) -> (Stall, Asked) {
    let target = format!("/{name}/42?q=needle");
    hangs_without(&[name], &target);
    let stall = Stall::of(&[name]).start();
    let asked = stall.get(&target);
    (stall, asked)
}

#[track_caller]
fn waits(name: &str, function: &str, kind: WaitKind, more: impl FnOnce(Caught<'_>)) {
    let (stall, _hangs) = hanging(name);
    let found = caught(&stall, &format!("/{name}/42"))
        .as_class(Class::StuckAwait)
        .by_role(Role::Culprit)
        .at(function)
        .asked_for("42", "needle")
        .waiting_for(kind)
        .and_as_nothing_else();
    more(found);
    stall.is_well();
}

#[track_caller]
fn is_likely(found: Caught<'_>) {
    found.at_least(Confidence::Likely);
}

/// Nobody else hangs, so nobody else can hold it; but that is not proved.
#[track_caller]
fn has_no_holder(found: Caught<'_>) {
    found
        .at_most(Confidence::Suspected)
        .that("held by nobody found", |r| {
            r.verdict
                .as_ref()
                .is_some_and(|v| v.holder.as_deref() == Some("nobody found"))
        });
}

#[test]
fn a_mutex_that_is_never_released() {
    waits(
        "mutex",
        "stall::waits::mutex",
        WaitKind::Lock,
        has_no_holder,
    );
}

#[test]
fn a_channel_that_is_never_answered() {
    waits(
        "channel",
        "stall::waits::channel",
        WaitKind::Channel,
        is_likely,
    );
}

#[test]
fn a_sleep_for_ever() {
    waits(
        "sleep",
        "stall::waits::sleep_for_ever",
        WaitKind::Timer,
        is_likely,
    );
}

/// The branch that is no timer is the one that matters.
#[test]
fn a_select_over_a_channel_and_a_timer() {
    waits(
        "select",
        "stall::waits::select",
        WaitKind::Channel,
        is_likely,
    );
}

#[test]
fn a_timeout_of_a_day() {
    waits(
        "timeout",
        "stall::waits::timeout_around",
        WaitKind::Channel,
        is_likely,
    );
}

#[test]
fn the_handle_of_a_task_that_hangs() {
    waits("join", "stall::waits::join", WaitKind::Task, is_likely);
}

#[test]
fn a_semaphore_without_permits() {
    waits(
        "semaphore",
        "stall::waits::semaphore",
        WaitKind::Semaphore,
        has_no_holder,
    );
}

/// It cannot be shown that nothing will ever wake it, so that is not proved. It has no stack, and its futures name it.
#[test]
fn a_leaf_that_keeps_no_waker() {
    let (stall, _hangs) = hanging("no_waker");
    caught(&stall, "/no_waker/42")
        .asked_for("42", "needle")
        .as_class(Class::LostWakeup)
        .at_most(Confidence::Likely)
        .that("in its handler", |r| {
            let culprit = r.verdict.as_ref().and_then(|v| v.culprit.as_ref());
            culprit.is_some_and(|c| c.function.ends_with("waits::no_waker"))
        });
    let blamed = |c: &Class| !matches!(c, Class::Unknown | Class::LostWakeup);
    let classes: Vec<Class> = stall
        .records()
        .iter()
        .filter_map(|r| Some(r.verdict.as_ref()?.class))
        .collect();
    assert!(
        !classes.iter().any(blamed),
        "more is claimed than is known: {classes:?}"
    );
    stall.is_well();
}

/// By the builder and by the layer; the one that says less must not hide the one that says more.
#[test]
fn every_route_may_have_a_threshold_of_its_own() {
    let names = ["export", "sleep", "sleep_patient", "sleep_impatient"];
    let stall = Stall::of(&names)
        .args(&["--route", "/export/{id}", "60000"])
        .start();
    let asked: Vec<Asked> = names
        .iter()
        .map(|name| stall.get(&format!("/{name}/42")))
        .collect();
    for (name, after_ms) in [("sleep", 500.0), ("sleep_impatient", 200.0)] {
        let threshold = caught(&stall, &format!("/{name}/42"))
            .that(format!("with slow_after_ms {after_ms}"), move |r| {
                r.slow_after_ms == Some(after_ms)
            });
        let elapsed_ms = threshold.record().elapsed_ms.expect("measured");
        assert!(
            elapsed_ms >= after_ms,
            "{name} was caught after {elapsed_ms} ms"
        );
    }
    stall.does_not_report("/export/42", 2 * SLOW_AFTER);
    stall.does_not_report("/sleep_patient/42", SLOW_AFTER / 2);
    drop(asked);
}

/// What the machine did not let anybody do is nobody's fault.
#[test]
fn a_stopped_process_charges_nobody() {
    use rustix::process::Signal;
    let stall = Stall::of(&["nap", "sleep"]).start();
    stall.is_well();
    let mut nap = stall.get("/nap/42");
    std::thread::sleep(SLOW_AFTER / 5);
    stall.signal(Signal::STOP);
    std::thread::sleep(3 * SLOW_AFTER);
    stall.signal(Signal::CONT);
    assert_eq!(nap.status_within(PATIENCE), Some(200));
    stall.does_not_report("/nap/42", SLOW_AFTER);
    // And the watchdog is not confused by it.
    let _hangs = stall.get("/sleep/7");
    caught(&stall, "/sleep/7").as_class(Class::StuckAwait);
    stall.does_not_report("/nap/42", SLOW_AFTER / 5);
}
