//! Bodies that do not come to an end, in both directions.

use redhanded::report::{Class, Phase, Role};
use redhanded_tests::{PATIENCE, SLOW_AFTER, Stall, caught};

/// The client asks for much and reads nothing.
#[test]
fn a_client_that_does_not_read_is_no_culprit_of_ours() {
    let stall = Stall::of(&["download"]).start();
    let _does_not_read = stall.get("/download/42?q=needle");
    caught(&stall, "/download/42")
        .as_class(Class::ClientStalled)
        .by_role(Role::Bystander)
        .in_phase(Phase::ResponseBody)
        .asked_for("42", "needle")
        .never_as_culprit();
    stall.is_well();
}

/// The client announces a thousand bytes and sends one.
#[test]
fn a_client_that_does_not_send_is_no_culprit_of_ours() {
    const UPLOAD: &[u8] =
        b"POST /upload/42 HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: 1000\r\n\r\nx";
    let alone = Stall::of(&["upload"]).args(&["--without"]).start();
    assert_eq!(
        alone.send(UPLOAD).body_within(SLOW_AFTER),
        None,
        "it hangs without us"
    );
    let stall = Stall::of(&["upload"]).start();
    let _does_not_send = stall.send(UPLOAD);
    caught(&stall, "/upload/42")
        .as_class(Class::ClientStalled)
        .by_role(Role::Bystander)
        .in_phase(Phase::RequestBody)
        .that("with its announced size", |r| {
            r.request
                .as_ref()
                .is_some_and(|q| q.body_bytes == Some(1000))
        })
        .never_as_culprit();
    stall.is_well();
}

#[test]
fn an_event_stream_may_rest() {
    let stall = Stall::of(&["events"]).start();
    let mut events = stall.get("/events/42");
    assert_eq!(events.status_within(PATIENCE), Some(200));
    stall.does_not_report("/events/42", 5 * SLOW_AFTER);
    stall.counts("in_flight", 1);
}

/// Whoever looks finds them inside a poll, and each poll has only just begun.
#[test]
fn a_stream_that_works_hard_is_no_culprit() {
    let stall = Stall::of(&["busy_events", "busy_rows"])
        .args(&["--workers", "3"])
        .start();
    let paths = ["/busy_events/42", "/busy_rows/42"];
    let reading = paths.map(|path| {
        let mut asked = stall.get(path);
        std::thread::spawn(move || asked.answer_within(4 * SLOW_AFTER, |_| false).len())
    });
    let read = reading.map(|thread| thread.join().expect("no panic"));
    assert!(
        read.iter().all(|bytes| *bytes > 1000),
        "they move: {read:?}"
    );
    let records = stall.records();
    assert!(records.is_empty(), "{}", redhanded_tests::show(&records));
}

#[test]
fn an_event_stream_that_blocks_its_thread_is_reported() {
    let stall = Stall::of(&["blocked_events"]).start();
    let mut events = stall.get("/blocked_events/42?q=needle");
    let reading = std::thread::spawn(move || events.answer_within(4 * SLOW_AFTER, |_| false).len());
    let found = caught(&stall, "/blocked_events/42")
        .as_class(Class::BlockedThread)
        .by_role(Role::Culprit)
        .in_phase(Phase::ResponseBody)
        .at("stall::bodies::block_for_ever")
        .and_as_nothing_else();
    let elapsed_ms = found.record().elapsed_ms.expect("measured");
    assert!(
        elapsed_ms >= 500.0 + 200.0,
        "it worked well for 200 ms: {elapsed_ms}"
    );
    reading.join().expect("no panic");
    stall.is_well();
}

#[test]
fn a_stream_that_moves_may_take_its_time() {
    let stall = Stall::of(&["steady"]).start();
    let mut rows = stall.get("/steady/42");
    let text = rows.answer_within(3 * SLOW_AFTER, |_| false);
    assert!(
        String::from_utf8_lossy(text).contains("row 5"),
        "{}",
        String::from_utf8_lossy(text)
    );
    stall.does_not_report("/steady/42", SLOW_AFTER / 5);
    stall.counts("in_flight", 1);
}

#[test]
fn a_stream_that_stops_is_reported() {
    let alone = Stall::of(&["stops"]).args(&["--without"]).start();
    let stopped = |text: &[u8]| !String::from_utf8_lossy(text).contains("row 3");
    assert!(
        stopped(
            alone
                .get("/stops/42")
                .answer_within(2 * SLOW_AFTER, |_| false)
        ),
        "it stops without us"
    );
    let stall = Stall::of(&["stops"]).start();
    let mut rows = stall.get("/stops/42?q=needle");
    assert!(String::from_utf8_lossy(rows.answer_within(SLOW_AFTER, |_| false)).contains("row 2"));
    caught(&stall, "/stops/42")
        .as_class(Class::StuckAwait)
        .by_role(Role::Culprit)
        .in_phase(Phase::ResponseBody)
        .at("stall::bodies::next_row")
        .asked_for("42", "needle")
        .and_as_nothing_else();
    stall.is_well();
}
