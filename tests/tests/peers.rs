//! Futures that wait for another host: who it is, and how far the two have come.

use redhanded::report::{Class, Confidence, Role, WaitKind};
use redhanded_tests::{Asked, Caught, Stall, caught, hangs_without};

fn hanging(name: &str) -> (Stall, Asked) {
    let target = format!("/{name}/42?q=needle");
    hangs_without(&[name], &target);
    let stall = Stall::of(&[name]).start();
    let asked = stall.get(&target);
    (stall, asked)
}

/// What is true of every one of them.
#[track_caller]
fn waits<'s>(stall: &'s Stall, name: &str, class: Class, kind: WaitKind) -> Caught<'s> {
    caught(stall, &format!("/{name}/42"))
        .as_class(class)
        .by_role(Role::Culprit)
        .at(&format!("stall::hosts::{name}"))
        .asked_for("42", "needle")
        .waiting_for(kind)
        .and_as_nothing_else()
}

/// The sentence for people, and how long it is said to have taken.
#[track_caller]
fn says(found: Caught<'_>, words: &'static str) {
    let record = found
        .that(format_args!("saying {words:?}"), move |r| {
            r.verdict.as_ref().is_some_and(|v| v.cause.contains(words))
        })
        .record();
    let peer = record.verdict.and_then(|v| v.peer).expect("a peer");
    let elapsed_ms = peer.elapsed_ms.expect("measured");
    let whole_ms = record.elapsed_ms.expect("measured");
    assert!(
        elapsed_ms > 0.0 && elapsed_ms <= whole_ms,
        "{elapsed_ms} of {whole_ms} ms"
    );
}

#[test]
fn a_connect_to_a_full_backlog() {
    let (stall, _hangs) = hanging("connect");
    let found = waits(&stall, "connect", Class::UnreachableHost, WaitKind::Socket)
        .at_least(Confidence::Likely)
        .with_the_peer("SYN_SENT", Some("connect"));
    says(found, "connecting to 127.0.0.1:");
    stall.is_well();
}

#[test]
fn a_read_from_a_silent_peer() {
    let (stall, _hangs) = hanging("read");
    let found = waits(&stall, "read", Class::SilentPeer, WaitKind::Socket)
        .at_least(Confidence::Likely)
        .with_the_peer("ESTABLISHED", None);
    says(found, "nothing has come");
    stall.is_well();
}

#[test]
fn a_write_to_a_peer_that_reads_nothing() {
    let (stall, _hangs) = hanging("write");
    let found = waits(&stall, "write", Class::SilentPeer, WaitKind::Socket)
        .at_least(Confidence::Likely)
        .with_the_peer("ESTABLISHED", Some("write"));
    says(found, "has not taken what was sent");
    stall.is_well();
}

#[test]
fn a_write_to_a_peer_that_has_closed_its_side() {
    let (stall, _hangs) = hanging("write_closed");
    let found = waits(&stall, "write_closed", Class::SilentPeer, WaitKind::Socket)
        .at_least(Confidence::Likely)
        .with_the_peer("CLOSE_WAIT", Some("write"));
    says(found, "has closed its side");
    stall.is_well();
}

#[test]
fn a_name_server_that_does_not_answer() {
    let (stall, _hangs) = hanging("resolve");
    waits(&stall, "resolve", Class::UnreachableHost, WaitKind::Socket)
        .at_least(Confidence::Likely)
        .that("from the name server", |r| {
            let peer = r.verdict.as_ref().and_then(|v| v.peer.clone());
            peer.is_some_and(|p| {
                (p.phase.as_deref(), p.address.as_deref(), p.port)
                    == (Some("dns"), Some("127.0.0.1"), Some(53))
            })
        });
    stall.is_well();
}

#[test]
fn of_two_hosts_neither_is_more_than_suspected() {
    let (stall, _hangs) = hanging("two_reads");
    waits(&stall, "two_reads", Class::SilentPeer, WaitKind::Socket)
        .at_most(Confidence::Suspected)
        .with_the_peer("ESTABLISHED", None)
        .that("of two sockets", |r| {
            let verdict = r.verdict.as_ref();
            verdict.is_some_and(|v| v.cause.contains("2 sockets"))
        });
    stall.is_well();
}

/// It is right, but it is a task of the application's own: nobody is accused on a guess.
#[test]
fn the_socket_of_another_task_is_not_accused() {
    let (stall, _hangs) = hanging("pooled");
    waits(&stall, "pooled", Class::StuckAwait, WaitKind::Channel)
        .at_least(Confidence::Likely)
        .that("without a peer", |r| {
            r.verdict.as_ref().is_some_and(|v| v.peer.is_none())
        });
    stall.is_well();
}
