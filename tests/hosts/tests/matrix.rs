//! Every client against every fault: each call hangs without us, and is caught with us, with the host
//! and the port that it was asked for by, and the phase that it is in.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use redhanded::report::{Class, Report, Role};
use redhanded::test_util;
use redhanded_hosts::clients::{Clients, Way, job};
use redhanded_hosts::faults::{Fault, start};
use redhanded_hosts::names;
use std::time::Duration;

const FAULTS: [Fault; 7] = [
    Fault::NoName,
    Fault::FullBacklog,
    Fault::AcceptThenSilence,
    Fault::HalfAHead,
    Fault::BodyStops,
    Fault::ReadsNothing,
    Fault::ZeroWindow,
];

/// A call that takes longer hangs.
const HANGS: Duration = Duration::from_millis(600);

/// What is true of such a call; `None` where the two do not go together.
fn truth(fault: Fault, way: Way) -> Option<(Class, &'static str)> {
    Some(match fault {
        Fault::NoName => (Class::UnreachableHost, "dns"),
        Fault::FullBacklog => (Class::UnreachableHost, "connect"),
        Fault::AcceptThenSilence if way.is_secured() => (Class::UnreachableHost, "tls"),
        Fault::AcceptThenSilence => (Class::SilentPeer, "wait_headers"),
        Fault::HalfAHead | Fault::ReadsNothing if way.is_http2() => return None,
        Fault::HalfAHead => (Class::SilentPeer, "wait_headers"),
        Fault::BodyStops => (Class::SilentPeer, "read_body"),
        Fault::ReadsNothing => (Class::SilentPeer, "write"),
        // What a window holds back never reaches the socket, so that nobody can conclude it; and a
        // small message passes before the window is told.
        Fault::ZeroWindow if !matches!(way, Way::Hyper2 | Way::Hyper2Tls) => return None,
        Fault::ZeroWindow => (Class::SilentPeer, "write"),
    })
}

fn cases() -> Vec<(Fault, Way)> {
    let all = FAULTS.iter().flat_map(|f| Way::ALL.map(|way| (*f, way)));
    all.filter(|(fault, way)| truth(*fault, *way).is_some())
        .collect()
}

fn host_of(prefix: &str, fault: Fault, way: Way) -> String {
    format!("{prefix}-{fault:?}-{way:?}.hosts.test").to_lowercase()
}

/// Has the name of a host with this fault known; its port.
async fn serve(host: &str, fault: Fault, way: Way) -> u16 {
    match start(fault, way.is_secured(), way.is_http2()).await {
        Some(address) => {
            names::set(host, &[address]);
            address.port()
        }
        None => 4711,
    }
}

fn is_upload(fault: Fault) -> bool {
    matches!(fault, Fault::ReadsNothing | Fault::ZeroWindow)
}

/// What is wrong with what was reported of a case.
fn wrong(report: &Report, fault: Fault, way: Way, host: &str, port: u16) -> Option<String> {
    let verdict = report.verdict.as_ref().unwrap();
    let peer = verdict.peer.clone().unwrap_or_default();
    let (class, phase) = truth(fault, way).unwrap();
    let culprit = verdict.culprit.clone().unwrap_or_default();
    // A channel of tonic connects in a task of its own, whose socket is not at hand; and what has filled
    // the backlog is connected to the same address, so that nobody can tell which one is meant.
    let sees_syn = fault == Fault::FullBacklog && way != Way::Tonic;
    let told = [
        (verdict.class == class, "class"),
        (verdict.role == Role::Culprit, "role"),
        (peer.name.as_deref() == Some(host), "host"),
        (peer.port == Some(port), "port"),
        (peer.phase.as_deref() == Some(phase), "phase"),
        (
            culprit.function.contains("redhanded_hosts::clients::by_"),
            "culprit",
        ),
        (
            !sees_syn || peer.state.as_deref() == Some("SYN_SENT"),
            "state",
        ),
    ];
    let wrong: Vec<&str> = told
        .into_iter()
        .filter_map(|(right, what)| (!right).then_some(what))
        .collect();
    (!wrong.is_empty()).then(|| {
        format!(
            "{fault:?} by {way:?}: wrong {}: {} {:?} {:?} at {}\n    {}",
            wrong.join(", "),
            verdict.class,
            verdict.confidence,
            peer,
            culprit.function,
            verdict.cause,
        )
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_hangs_without_us() {
    let clients = Clients::new();
    let mut hanging = tokio::task::JoinSet::new();
    for (fault, way) in cases() {
        let clients = clients.clone();
        hanging.spawn(async move {
            let host = host_of("bare", fault, way);
            let port = serve(&host, fault, way).await;
            let call = clients.ask(way, &host, port, is_upload(fault));
            let answered = tokio::time::timeout(HANGS, call).await;
            answered
                .ok()
                .map(|answer| format!("{fault:?} by {way:?}: {answer:?}"))
        });
    }
    let answered: Vec<String> = hanging.join_all().await.into_iter().flatten().collect();
    assert!(
        answered.is_empty(),
        "did not hang:\n{}",
        answered.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_caught_with_host_port_and_phase() {
    let (builder, reports) = test_util::builder("matrix");
    let redhanded = builder.install().unwrap();
    let clients = Clients::new();
    let mut wrongs = Vec::new();
    let cases = cases();
    for (fault, way) in &cases {
        let (fault, way) = (*fault, *way);
        let host = host_of("watched", fault, way);
        let port = serve(&host, fault, way).await;
        let (asking, to) = (clients.clone(), host.clone());
        let hangs = async move { asking.ask(way, &to, port, is_upload(fault)).await };
        let running = job(&redhanded, &host, hangs);
        let (found, name) = (reports.clone(), host.clone());
        // What names have to say comes with the first line or a moment later.
        let report = tokio::task::spawn_blocking(move || {
            let right = |r: &Report| is(r, &name) && wrong(r, fault, way, &name, port).is_none();
            let any = |r: &Report| is(r, &name);
            found
                .wait_for(Duration::from_secs(3), right)
                .or_else(|| found.reports().into_iter().rfind(|r| any(r)))
        });
        match report.await.unwrap() {
            Some(report) => wrongs.extend(wrong(&report, fault, way, &host, port)),
            None => wrongs.push(format!("{fault:?} by {way:?}: not caught")),
        }
        running.abort();
    }
    let right = cases.len() - wrongs.len();
    assert!(
        wrongs.is_empty(),
        "{right} right, wrong are:\n{}",
        wrongs.join("\n")
    );
}

fn is(report: &Report, name: &str) -> bool {
    let request = report.request.as_ref();
    report.verdict.is_some() && request.is_some_and(|r| r.route.as_deref() == Some(name))
}
