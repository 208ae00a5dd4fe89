//! Polls whose thread sleeps in the kernel.

use redhanded::report::{Class, Confidence, Role, WaitKind};
use redhanded_tests::{Asked, Caught, Stall, caught, hangs_without};

/// A stall that hangs without us and is watched now, with its request under way.
fn hanging(name: &str, args: &[&str]) -> (Stall, Asked) {
    let target = format!("/{name}/42?q=needle");
    hangs_without(&[name], &target);
    let stall = Stall::of(&[name]).args(args).start();
    let asked = stall.get(&target);
    (stall, asked)
}

/// What is true of every one of them.
#[track_caller]
fn blocked<'s>(stall: &'s Stall, name: &str, function: &str) -> Caught<'s> {
    caught(stall, &format!("/{name}/42"))
        .as_class(Class::BlockedThread)
        .by_role(Role::Culprit)
        .at(function)
        .asked_for("42", "needle")
        .and_as_nothing_else()
}

#[test]
fn a_sleep_of_std() {
    let (stall, _hangs) = hanging("std_sleep", &[]);
    blocked(&stall, "std_sleep", "stall::blocked::sleep")
        .at_least(Confidence::Likely)
        .in_call("clock_nanosleep")
        .waiting_for(WaitKind::Timer);
    stall.is_well();
}

#[test]
fn a_read_from_a_silent_peer() {
    let (stall, _hangs) = hanging("std_read", &[]);
    blocked(&stall, "std_read", "stall::blocked::read")
        .at_least(Confidence::Likely)
        .in_call("recvfrom")
        .waiting_for(WaitKind::Socket)
        .with_the_peer("ESTABLISHED", None);
    stall.is_well();
}

#[test]
fn a_connect_to_a_full_backlog() {
    let (stall, _hangs) = hanging("std_connect", &[]);
    blocked(&stall, "std_connect", "stall::blocked::connect")
        .at_least(Confidence::Likely)
        .in_call("connect")
        .waiting_for(WaitKind::Socket)
        .with_the_peer("SYN_SENT", Some("connect"));
    stall.is_well();
}

/// Nobody else hangs, so nobody else can hold it; but that is not proved.
#[test]
fn a_mutex_that_is_locked_twice() {
    let (stall, _hangs) = hanging("std_mutex", &[]);
    blocked(&stall, "std_mutex", "stall::blocked::lock_twice")
        .in_call("futex")
        .waiting_for(WaitKind::Lock)
        .at_most(Confidence::Suspected)
        .that("held by nobody found", |r| {
            r.verdict
                .as_ref()
                .is_some_and(|v| v.holder.as_deref() == Some("nobody found"))
        });
    stall.is_well();
}

#[test]
fn a_pipe_that_nobody_writes_to() {
    let (stall, _hangs) = hanging("std_pipe", &[]);
    blocked(&stall, "std_pipe", "stall::blocked::read_pipe")
        .at_least(Confidence::Likely)
        .in_call("read")
        .waiting_for(WaitKind::File);
    stall.is_well();
}

/// The only thread of the runtime waits for what only it could drive.
#[test]
fn a_block_on_inside_of_the_runtime() {
    let target = "/block_on/42?q=needle";
    let alone = Stall::of(&["block_on"])
        .args(&["--without", "--current-thread"])
        .start();
    let answer = alone.get(target).body_within(redhanded_tests::SLOW_AFTER);
    assert_eq!(answer, None, "it hangs without us");
    let stall = Stall::of(&["block_on"]).args(&["--current-thread"]).start();
    let _hangs = stall.get(target);
    blocked(&stall, "block_on", "stall::blocked::block_on").in_call("futex");
}
