//! The promise of the whole: a request that hangs is found in Jaeger **while it hangs**, and with
//! it the line to blame; and a Collector that dies harms nobody.
//!
//! Everything is real: a service, the Collector with the `otel-collector.yaml` that we ship, Jaeger.

mod http;
mod metered;
mod outage;
mod process;
mod sampling;
mod scaled_out;
mod servers;
mod silent;
mod toy;
mod wait;
mod wedged;

use http::{Caller, Open};
use redhanded::report::{Class, Event, How, Report};
use servers::{Binaries, Servers, Span};
use silent::Silent;
use std::io::Write;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};
use toy::{Toy, line};
use wait::{SOON, until};

/// For how long nothing happens without redhanded. Whatever it caught, it caught sooner.
const WINDOW: Duration = Duration::from_secs(5);

#[test]
fn a_runaway_is_found_while_it_hangs() {
    let Some(binaries) = binaries() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut servers = Servers::start(binaries, directory.path());
    nothing_is_found_without_redhanded(&servers, &directory.path().join("unwatched"));
    three_hang_and_are_found(&servers, &directory.path().join("hanging"));
    a_call_is_found_and_its_other_end_knows_of_it(&servers, &directory.path().join("calling"));
    the_end_of_a_slow_request_is_told(&servers, &directory.path().join("slow"));
    metered::numbers_arrive(&servers, &directory.path().join("metered"));
    a_dead_collector_harms_nobody(&mut servers, &directory.path().join("alone"));
    outage::nothing_is_lost(&mut servers, &directory.path().join("outage"));
    sampling::a_late_marker_is_kept(&servers);
    sampling::all_spans_are_counted(&servers);
}

#[test]
fn a_trace_goes_to_one_gateway_and_waits_for_it() {
    let Some(binaries) = binaries() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    scaled_out::each_trace_is_in_one_place(&binaries, directory.path());
}

/// HAProxy in front is for `cargo xtask haproxy` alone.
#[test]
#[ignore = "needs HAProxy: cargo xtask haproxy"]
fn a_wedged_process_is_drained_restarted_and_served_around() {
    let Some(binaries) = binaries() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let servers = Servers::start(binaries, directory.path());
    wedged::is_drained_restarted_and_served_around(&servers);
}

fn binaries() -> Option<Binaries> {
    let found = Binaries::from_env();
    if found.is_none() {
        // Not eprintln: the harness would keep what a test says that passes.
        let skipped =
            "SKIPPED: needs a real Collector and a real Jaeger; `cargo xtask e2e` builds both";
        let _ = writeln!(std::io::stderr(), "{skipped}");
    }
    found
}

fn nothing_is_found_without_redhanded(servers: &Servers, directory: &Path) {
    eprintln!("without redhanded");
    let toy = Toy::unwatched(directory, &servers.otlp());
    let silent = Silent::listen();
    let mut open = toy.send("/loop/word", &Caller::new(1));
    let call = format!("/call?peer={}", silent.peer());
    let mut calling = toy.send(&call, &Caller::new(1));
    let head = silent.head();
    assert!(!head.contains("traceparent"), "nobody traces: {head}");
    let begun = Instant::now();
    while begun.elapsed() < WINDOW {
        open.still_hangs();
        calling.still_hangs();
        assert!(!toy.has_log());
        assert!(servers.runaways().is_empty());
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!(
        "  {:6.2} s  both hang, no log, nothing in Jaeger",
        begun.elapsed().as_secs_f64()
    );
}

/// What is to be said about a request that hangs.
struct Expected<'a> {
    class: Class,
    function: &'a str,
    lines: RangeInclusive<u32>,
    /// Of the URL, as it may be shown.
    target: &'a str,
    param: (&'a str, &'a str),
}

fn three_hang_and_are_found(servers: &Servers, directory: &Path) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = (silent.local_addr().expect("it is bound"), silent);
    let mut toy = Toy::watched(directory, &servers.otlp());

    let block = format!("/block?peer={}", silent.0);
    let block = Expected {
        class: Class::BlockedThread,
        function: "toy::ask",
        lines: line("the read")..=line("the read"),
        target: &block,
        param: ("peer", &silent.0.to_string()),
    };
    let channel = line("the channel");
    let pending = Expected {
        class: Class::StuckAwait,
        function: "toy::balance",
        lines: channel..=channel,
        target: "/pending/4711",
        param: ("account", "4711"),
    };
    let looping = Expected {
        class: Class::CpuLoop,
        function: "toy::count_matches",
        lines: line("the loop begins")..=line("the loop ends"),
        target: "/loop/word?page=7&token=REDACTED",
        param: ("page", "7"),
    };
    hang(
        servers,
        &mut toy,
        "a blocking read",
        block.target,
        &Caller::new(2),
        &block,
    );
    hang(
        servers,
        &mut toy,
        "a channel",
        "/pending/4711",
        &Caller::new(3),
        &pending,
    );
    hang(
        servers,
        &mut toy,
        "a loop",
        "/loop/word?page=7&token=hush",
        &Caller::new(4),
        &looping,
    );
    assert!(!toy.log().contains("hush"), "a secret is in the log");
    assert!(
        !format!("{:?}", servers.runaways()).contains("hush"),
        "a secret is in Jaeger"
    );
}

/// A call to a host that takes it and says nothing: below the span of the runaway there is that of the
/// call, by whose id the host was told whose call it is.
fn a_call_is_found_and_its_other_end_knows_of_it(servers: &Servers, directory: &Path) {
    let (silent, caller) = (Silent::listen(), Caller::new(9));
    let mut toy = Toy::watched(directory, &servers.otlp());
    let target = format!("/call?peer={}", silent.peer());
    let expected = Expected {
        class: Class::SilentPeer,
        function: "toy::stock",
        lines: line("the call")..=line("the call"),
        target: &target,
        param: ("peer", &silent.peer()),
    };
    let (mut open, caught) = hang(servers, &mut toy, "a call", &target, &caller, &expected);

    let head = silent.head();
    let told = head
        .lines()
        .find_map(|line| line.strip_prefix("traceparent: "));
    let told: Vec<&str> = told.unwrap_or_default().split('-').collect();
    let [version, trace_id, span_id, flags] = *told else {
        panic!("no traceparent was passed on: {head}");
    };
    assert_eq!(
        (version, trace_id, flags),
        ("00", caller.trace_id.as_str(), "01")
    );
    let call = until("the call is in Jaeger", SOON, || {
        let is_it = |span: &Span| span.trace_id() == trace_id && span.span_id() == span_id;
        servers.runaways().into_iter().find(is_it)
    });
    assert_eq!(call.parent_span_id(), caught.span_id(), "{call:?}");
    assert_eq!(call.name(), "GET");
    let port = silent.port().to_string();
    for (key, value) in [
        ("span.kind", "client"),
        ("otel.status_code", "ERROR"),
        ("redhanded.still_open", "true"),
        ("redhanded.peer.phase", "wait_headers"),
        ("redhanded.peer.state", "ESTABLISHED"),
        ("server.address", "localhost"),
        ("server.port", &port),
        ("network.peer.address", "127.0.0.1"),
        ("network.peer.port", &port),
        ("http.request.method", "GET"),
        ("url.path", "/stock"),
        ("url.query", "item=4711&token=REDACTED"),
    ] {
        assert_eq!(call.tag(key), value, "{key} of {call:?}");
    }
    open.still_hangs();
    assert!(!toy.log().contains("hush"), "a secret is in the log");
}

/// Sends a request that never ends; it is in the log and in Jaeger while it hangs.
fn hang(
    servers: &Servers,
    toy: &mut Toy,
    what: &str,
    target: &str,
    caller: &Caller,
    expected: &Expected<'_>,
) -> (Open, Span) {
    eprintln!("{what}");
    let mut open = toy.send(target, caller);
    let caught = toy.report(Event::Caught, caller);
    let named = named(toy, caller);
    is_as_expected(&caught, &named, toy, expected);
    let span = marker(servers, caller);
    says_the_same(&span, &named, caller, expected);
    open.still_hangs();
    assert_eq!(toy.get("/hello"), "hello", "the others are served");
    eprintln!("          {}", redhanded::report::headline(&named));
    (open, span)
}

/// The line with names: the first one, or the one that follows it when names took long.
fn named(toy: &Toy, caller: &Caller) -> Report {
    let has_names = |report: &Report| {
        let culprit = report
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.culprit.as_ref());
        report.trace_id.as_deref() == Some(&caller.trace_id) && culprit.is_some()
    };
    until("its culprit is in the log", SOON, || {
        toy.reports().into_iter().find(has_names)
    })
}

fn is_as_expected(caught: &Report, named: &Report, toy: &Toy, expected: &Expected<'_>) {
    let elapsed_ms = caught.elapsed_ms.expect("it has an age");
    assert!(
        elapsed_ms < WINDOW.as_secs_f64() * 1000.0,
        "caught after {elapsed_ms} ms"
    );
    let request = caught.request.as_ref().expect("it has a request");
    assert_eq!(
        request.url,
        format!("http://{}{}", toy.address, expected.target)
    );
    let (key, value) = expected.param;
    let param = request
        .params
        .query
        .get(key)
        .or(request.params.path.get(key));
    assert_eq!(
        param.map(String::as_str),
        Some(value),
        "{key} in {:?}",
        request.params
    );

    let verdict = named.verdict.as_ref().expect("it has a verdict");
    assert_eq!(
        caught.verdict.as_ref().map(|first| first.class),
        Some(expected.class)
    );
    assert_eq!(verdict.class, expected.class, "{}", verdict.cause);
    let culprit = verdict.culprit.as_ref().expect("it has a culprit");
    assert!(
        culprit.function.starts_with(expected.function),
        "{culprit:?}"
    );
    assert!(
        culprit
            .file
            .as_ref()
            .is_some_and(|file| file.ends_with("toy.rs")),
        "{culprit:?}"
    );
    assert!(
        culprit
            .line
            .is_some_and(|line| expected.lines.contains(&line)),
        "{culprit:?}, not in {:?}",
        expected.lines
    );
}

/// The span that tells of a runaway.
pub(crate) fn marker(servers: &Servers, caller: &Caller) -> Span {
    until("it is in Jaeger", SOON, || {
        let is_it =
            |span: &Span| span.name() == "redhanded.caught" && span.trace_id() == caller.trace_id;
        servers.runaways().into_iter().find(is_it)
    })
}

fn says_the_same(span: &Span, report: &Report, caller: &Caller, expected: &Expected<'_>) {
    assert_eq!(
        report.parent_span_id.as_deref(),
        Some(caller.span_id.as_str())
    );
    assert_eq!(
        Some(span.parent_span_id()),
        report.span_id.as_deref(),
        "{span:?}"
    );
    let verdict = report.verdict.as_ref().expect("it has a verdict");
    let request = report.request.as_ref().expect("it has a request");
    let culprit = verdict.culprit.as_ref().expect("it has a culprit");
    for (key, value) in [
        ("runaway", "true"),
        ("redhanded.id", report.id.as_str()),
        ("redhanded.class", verdict.class.as_str()),
        ("redhanded.role", verdict.role.as_str()),
        ("redhanded.confidence", verdict.confidence.as_str()),
        ("redhanded.cause", &verdict.cause),
        ("code.function.name", &culprit.function),
        ("url.full", &request.url),
        ("otel.status_code", "ERROR"),
    ] {
        assert_eq!(span.tag(key), value, "{key} of {span:?}");
    }
    let stack = span.tag("code.stacktrace");
    assert!(stack.contains(expected.function), "{stack}");
}

fn the_end_of_a_slow_request_is_told(servers: &Servers, directory: &Path) {
    eprintln!("a request that ends");
    let (mut toy, caller) = (Toy::watched(directory, &servers.otlp()), Caller::new(5));
    let mut open = toy.send("/slow", &caller);
    let caught = toy.report(Event::Caught, &caller);
    open.still_hangs();
    toy.get("/release");
    let answer = until("it is answered", SOON, || {
        Some(open.answer()).filter(|answer| !answer.is_empty())
    });
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");

    let ended = toy.report(Event::Ended, &caller);
    assert_eq!(ended.id, caught.id);
    let outcome = ended.outcome.as_ref().expect("it has an outcome");
    assert_eq!((outcome.how, outcome.status), (How::Completed, Some(503)));
    let span = until("its own span is in Jaeger", SOON, || {
        let is_it =
            |span: &Span| span.tag("span.kind") == "server" && span.trace_id() == caller.trace_id;
        servers.runaways().into_iter().find(is_it)
    });
    assert_eq!(span.name(), "GET /slow");
    assert_eq!(Some(span.span_id()), ended.span_id.as_deref());
    assert_eq!(span.parent_span_id(), caller.span_id);
    assert_eq!(span.tag("http.response.status_code"), "503");
    assert_eq!(span.tag("redhanded.how"), "completed");
    assert_eq!(marker(servers, &caller).parent_span_id(), span.span_id());
}

fn a_dead_collector_harms_nobody(servers: &mut Servers, directory: &Path) {
    eprintln!("kill -9 the Collector");
    let mut toy = Toy::watched(directory, &servers.otlp());
    let mut open = Vec::new();
    servers.kill_collector();
    caught_as_ever(&mut toy, &mut open, &Caller::new(6));
    servers.restart_collector();
    marker(servers, &Caller::new(6));

    open.iter_mut().for_each(Open::still_hangs);
}

/// One more runaway; it is in the log, and everybody else is served.
pub(crate) fn caught_as_ever(toy: &mut Toy, open: &mut Vec<Open>, caller: &Caller) {
    open.push(toy.send("/pending/1", caller));
    toy.report(Event::Caught, caller);
    assert_eq!(toy.get("/hello"), "hello");
}
