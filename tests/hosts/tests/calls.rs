//! What calls tell besides the one that hangs: repetitions, addresses that were tried, connections that
//! others make, traces, and what is left when they are given up.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redhanded::report::{Class, Confidence, Report, Role, WaitKind};
use redhanded::test_util::{self, Memory};
use redhanded::{CallPhase, Failure, PeerStats, Redhanded};
use redhanded_hosts::clients::{Clients, Way, job};
use redhanded_hosts::faults::{self, Fault, black_hole};
use redhanded_hosts::names;
use redhanded_hosts::patterns::{ANYWHERE, Host, status};
use redhanded_hosts::tls;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn install(service: &str) -> (Redhanded, Memory) {
    let (builder, reports) = test_util::builder(service);
    (builder.install().unwrap(), reports)
}

/// Waits on another thread, so that the runtime goes on.
async fn found(
    reports: &Memory,
    name: &str,
    fits: impl Fn(&Report) -> bool + Send + 'static,
) -> Arc<Report> {
    let (reports, name) = (reports.clone(), name.to_owned());
    let wait = move || {
        let is_it = |r: &Report| {
            let request = r.request.as_ref();
            request.is_some_and(|q| q.route.as_deref() == Some(&name)) && r.verdict.is_some()
        };
        reports
            .wait_for(Duration::from_secs(10), |r| is_it(r) && fits(r))
            .unwrap_or_else(|| {
                let all: Vec<String> = reports
                    .reports()
                    .iter()
                    .filter(|r| is_it(r))
                    .map(|r| format!("{:?}", r.verdict))
                    .collect();
                panic!("{name} was not reported so:\n{}", all.join("\n"))
            })
    };
    tokio::task::spawn_blocking(wait).await.unwrap()
}

fn class(report: &Report) -> Class {
    report.verdict.as_ref().map(|v| v.class).unwrap_or_default()
}

fn peer_of(redhanded: &Redhanded, host: &str) -> Option<PeerStats> {
    let known = redhanded.peers().known;
    known.into_iter().find(|peer| peer.peer.starts_with(host))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_storm() {
    let (redhanded, reports) = install("storm");
    let host = Host::start(ANYWHERE, Duration::from_millis(2), |_| status(503)).await;
    let clients = Clients::new();
    let url = format!("http://{}/charge?card=1", host.address);
    let storm = async move {
        // Again, and again, until it works.
        while clients.status(&url).await != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let running = job(&redhanded, "storm", storm);
    let report = found(&reports, "storm", |r| class(r) == Class::RepeatingCalls).await;
    let verdict = report.verdict.as_ref().unwrap();
    assert_eq!(verdict.role, Role::Culprit);
    assert!(
        verdict.cause.contains("were tried again"),
        "{}",
        verdict.cause
    );
    let peer = verdict.peer.as_ref().unwrap();
    assert_eq!(peer.port, Some(host.address.port()));
    let total = &report.evidence.as_ref().unwrap().outbound_totals[0];
    assert!(
        total.calls >= 10 && total.failed == total.calls,
        "{total:?}"
    );
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_without_end() {
    let (redhanded, reports) = install("pages");
    let host = Host::start(ANYWHERE, Duration::from_millis(3), |_| status(200)).await;
    let clients = Clients::new();
    let address = host.address;
    let pages = async move {
        for page in 0_u64.. {
            let url = format!("http://{address}/items?page={page}&token=abc");
            clients.status(&url).await;
        }
    };
    let running = job(&redhanded, "pages", pages);
    let report = found(&reports, "pages", |r| class(r) == Class::RepeatingCalls).await;
    let verdict = report.verdict.as_ref().unwrap();
    assert!(verdict.cause.contains("another page"), "{}", verdict.cause);
    let evidence = report.evidence.as_ref().unwrap();
    let whats: Vec<_> = evidence
        .outbound
        .iter()
        .filter_map(|c| c.what.clone())
        .collect();
    assert!(
        !whats.is_empty() && whats.iter().all(|w| w.contains("token=REDACTED")),
        "{whats:?}"
    );
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_loop() {
    let (redhanded, reports) = install("redirects");
    let host = Host::start(ANYWHERE, Duration::from_millis(2), |_| status(302)).await;
    let clients = Clients::new();
    let address = host.address;
    let following = async move {
        for hop in 0_u64.. {
            clients
                .status(&format!("http://{address}/login/{hop}"))
                .await;
        }
    };
    let running = job(&redhanded, "redirects", following);
    let report = found(&reports, "redirects", |r| class(r) == Class::RepeatingCalls).await;
    let cause = &report.verdict.as_ref().unwrap().cause;
    assert!(cause.contains("redirected"), "{cause}");
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_dead_and_a_living_address_the_dead_one_is_named() {
    let (redhanded, reports) = install("addresses");
    let dead = black_hole(Ipv4Addr::new(127, 0, 0, 2).into(), 0);
    let living = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), dead.port()));
    let _host = Host::start(living, Duration::ZERO, |_| status(200)).await;
    names::set("both.hosts.test", &[dead, living]);
    let clients = Clients::new();
    let asked = clients.clone();
    let asks = async move {
        asked
            .ask(Way::Hyper, "both.hosts.test", dead.port(), false)
            .await
    };
    let running = job(&redhanded, "both", asks);
    let report = found(&reports, "both", |r| class(r) == Class::UnreachableHost).await;
    let peer = report
        .verdict
        .as_ref()
        .and_then(|v| v.peer.clone())
        .unwrap();
    assert_eq!(
        (
            peer.name.as_deref(),
            peer.address.as_deref(),
            peer.port,
            peer.state.as_deref()
        ),
        (
            Some("both.hosts.test"),
            Some("127.0.0.2"),
            Some(dead.port()),
            Some("SYN_SENT")
        )
    );
    let call = report.evidence.as_ref().unwrap().outbound[0].clone();
    let tried: Vec<_> = call.tried.iter().map(|t| t.address.clone()).collect();
    assert_eq!(tried, [dead.to_string()], "the living one comes after it");
    running.abort();

    // A dead one that says so is no trouble: the next one is tried.
    let refusing = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 4), dead.port()));
    names::set("next.hosts.test", &[refusing, living]);
    let answer = clients
        .ask(Way::Hyper, "next.hosts.test", dead.port(), false)
        .await;
    assert_eq!(answer, Ok(()));
}

/// HTTP/2: the first call connects, the second waits for its connection, and both hang for one reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_connection_that_another_makes_is_connecting_too() {
    let (redhanded, reports) = install("shared");
    let hole = black_hole(Ipv4Addr::LOCALHOST.into(), 0);
    names::set("shared.hosts.test", &[hole]);
    let clients = Clients::new();
    let mut running = Vec::new();
    for name in ["first", "second"] {
        let clients = clients.clone();
        let ask = async move {
            clients
                .ask(Way::Hyper2, "shared.hosts.test", hole.port(), false)
                .await
        };
        running.push(job(&redhanded, name, ask));
        let report = found(&reports, name, |r| class(r) == Class::UnreachableHost).await;
        let peer = report
            .verdict
            .as_ref()
            .and_then(|v| v.peer.clone())
            .unwrap();
        assert_eq!(
            (peer.name.as_deref(), peer.port, peer.phase.as_deref()),
            (
                Some("shared.hosts.test"),
                Some(hole.port()),
                Some("connect")
            ),
            "{name}"
        );
        assert_eq!(peer.inferred, name == "second", "{name}");
    }
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Of reqwest a pooled connection is not told by any hook: it is found among the process's sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_of_reqwest_is_found() {
    let (redhanded, reports) = install("pooled");
    let host = quick_then_silent().await;
    let client = redhanded
        .reqwest(
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls::client())
                .no_proxy(),
        )
        .build()
        .unwrap();
    let url = format!("http://127.0.0.1:{}/", host.port());
    let answered = client.get(format!("{url}quick")).send().await.unwrap();
    assert_eq!(answered.bytes().await.unwrap(), "some rows");
    let asks = async move { client.get(format!("{url}slow")).send().await.map(drop) };
    let running = job(&redhanded, "pooled", asks);
    let report = found(&reports, "pooled", |r| class(r) == Class::SilentPeer).await;
    let peer = report
        .verdict
        .as_ref()
        .and_then(|v| v.peer.clone())
        .unwrap();
    assert_eq!(
        (peer.port, peer.phase.as_deref()),
        (Some(host.port()), Some("wait_headers"))
    );
    assert!(peer.inferred && peer.state.as_deref() == Some("ESTABLISHED"));
    running.abort();
}

/// hyper's client tells nobody that its pool had a connection; it is concluded, and right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_of_hyper_waits_for_an_answer_and_not_for_the_pool() {
    let (redhanded, reports) = install("kept");
    let host = quick_then_silent().await;
    let clients = Clients::new();
    let url = format!("http://127.0.0.1:{}/", host.port());
    assert_eq!(clients.status(&url).await, 200);
    let running = job(
        &redhanded,
        "kept",
        async move { clients.status(&url).await },
    );
    let report = found(&reports, "kept", |r| class(r) == Class::SilentPeer).await;
    let peer = report
        .verdict
        .as_ref()
        .and_then(|v| v.peer.clone())
        .unwrap();
    assert_eq!(
        (peer.port, peer.phase.as_deref()),
        (Some(host.port()), Some("wait_headers"))
    );
    assert!(!peer.inferred);
    running.abort();
}

/// All of it was handed to the client at once, and the other end has taken what fits into buffers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_over_at_once_need_not_have_been_taken() {
    let (redhanded, reports) = install("upload");
    let host = faults::start(Fault::ReadsNothing, false, false)
        .await
        .unwrap();
    let clients = Clients::new();
    let url = format!("http://{host}/");
    let running = job(&redhanded, "upload", async move {
        clients.upload_at_once(&url).await
    });
    let report = found(&reports, "upload", |r| class(r) == Class::SilentPeer).await;
    let peer = report
        .verdict
        .as_ref()
        .and_then(|v| v.peer.clone())
        .unwrap();
    assert_eq!(
        (peer.port, peer.phase.as_deref()),
        (Some(host.port()), Some("write"))
    );
    running.abort();
}

/// A set polls who was woken, so that a call of it is not polled when its request is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_a_set_are_suspected() {
    let (redhanded, reports) = install("set");
    let host = faults::start(Fault::AcceptThenSilence, false, false)
        .await
        .unwrap();
    names::set("set.hosts.test", &[host]);
    let clients = Clients::new();
    let asks = async move {
        let ask = |_| clients.ask(Way::Hyper, "set.hosts.test", host.port(), false);
        let mut set: FuturesUnordered<_> = (0..3).map(ask).collect();
        while set.next().await.is_some() {}
    };
    let running = job(&redhanded, "set", asks);
    let report = found(&reports, "set", |r| class(r) == Class::SilentPeer).await;
    let verdict = report.verdict.as_ref().unwrap();
    let peer = verdict.peer.clone().unwrap();
    assert_eq!(
        (peer.name.as_deref(), peer.port),
        (Some("set.hosts.test"), Some(host.port()))
    );
    assert_eq!(verdict.confidence, Confidence::Suspected);
    assert_eq!(report.evidence.as_ref().unwrap().outbound.len(), 3);
    running.abort();
}

/// The nearest innocent: an answer that has begun, which nobody reads, while its request waits for a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_answer_nobody_reads_is_not_accused() {
    let (redhanded, reports) = install("unread");
    let host = faults::start(Fault::BodyStops, false, false).await.unwrap();
    let clients = Clients::new();
    let url = format!("http://{host}/");
    let waits = async move {
        let lock = tokio::sync::Mutex::new(());
        let _held = lock.lock().await;
        let answer = clients.head_of(&url).await;
        drop(lock.lock().await); // by itself
        drop(answer);
    };
    let running = job(&redhanded, "unread", waits);
    let report = found(&reports, "unread", |r| {
        let verdict = r.verdict.as_ref();
        verdict.is_some_and(|v| {
            v.waiting_for
                .as_ref()
                .is_some_and(|w| w.kind == WaitKind::Lock)
        })
    })
    .await;
    let verdict = report.verdict.as_ref().unwrap();
    assert_eq!(
        (verdict.class, verdict.peer.clone()),
        (Class::StuckAwait, None)
    );
    let accused = reports
        .reports()
        .into_iter()
        .filter_map(|r| r.verdict.clone());
    let sure =
        |v: &redhanded::report::Verdict| v.peer.is_some() && v.confidence > Confidence::Suspected;
    assert!(
        accused.filter(sure).count() == 0,
        "not even before it had names"
    );
    running.abort();
}

/// A host that answers the first request of each connection, and no other.
async fn quick_then_silent() -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome rows";
                let _ = stream.write_all(answer).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_told_to_the_other_end_where_there_is_one() {
    let (redhanded, _reports) = install("traces");
    let host = Host::start(ANYWHERE, Duration::ZERO, |_| status(200)).await;
    let clients = Clients::new();
    let url = format!("http://{}/", host.address);
    let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for header in [None, Some(incoming)] {
        let mut asked = redhanded.request("GET", "/");
        if let Some(header) = header {
            asked = asked.header("traceparent", header);
        }
        asked.run(clients.status(&url)).await;
    }
    let asked = host.asked();
    let told = |at: usize| {
        asked[at]
            .get("traceparent")
            .map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(told(0), None, "no trace is begun here");
    let told = told(1).expect("the trace goes on");
    let parts: Vec<&str> = told.split('-').collect();
    assert_eq!(
        (parts[0], parts[1], parts[3]),
        ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    );
    assert!(
        parts[2].len() == 16 && parts[2] != "b7ad6b7169203331",
        "a span of its own: {told}"
    );
}

/// Dropped in each phase: nothing is open afterwards, and it counts as given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_in_any_phase_leaves_nothing() {
    let (redhanded, reports) = install("dropped");
    let clients = Clients::new();
    for (fault, way, phase) in [
        (Fault::NoName, Way::Hyper, CallPhase::Dns),
        (Fault::FullBacklog, Way::Hyper, CallPhase::Connect),
        (Fault::AcceptThenSilence, Way::HyperTls, CallPhase::Tls),
        (Fault::ReadsNothing, Way::Hyper, CallPhase::Write),
        (Fault::AcceptThenSilence, Way::Hyper, CallPhase::WaitHeaders),
        (Fault::BodyStops, Way::Hyper, CallPhase::ReadBody),
        (Fault::FullBacklog, Way::Reqwest, CallPhase::Connect),
    ] {
        let host = format!("dropped-{fault:?}-{way:?}.hosts.test").to_lowercase();
        let address = faults::start(fault, way.is_secured(), way.is_http2()).await;
        address.inspect(|address| names::set(&host, &[*address]));
        let port = address.map_or(4711, |a| a.port());
        let upload = fault == Fault::ReadsNothing;
        let (asking, to) = (clients.clone(), host.clone());
        let running = job(&redhanded, &host, async move {
            asking.ask(way, &to, port, upload).await
        });
        // Caught in this phase, so it is in it.
        found(&reports, &host, move |r| {
            let peer = r.verdict.as_ref().and_then(|v| v.peer.as_ref());
            peer.is_some_and(|p| p.phase.as_deref() == Some(phase.as_str()))
        })
        .await;
        running.abort();
        let _ = running.await;
        let ends = format!("{host} ends");
        let left = until(&ends, || {
            peer_of(&redhanded, &host).filter(|peer| peer.in_flight == 0)
        })
        .await;
        assert!(
            left.phase(phase).is_some(),
            "{fault:?} by {way:?}: {left:?}"
        );
        let dropped = left
            .failures
            .iter()
            .any(|(f, n)| *f == Failure::Dropped && *n > 0);
        assert!(dropped, "{fault:?} by {way:?}: {left:?}");
    }
    assert_eq!(redhanded.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_counted_by_kind() {
    let (redhanded, _reports) = install("failures");
    let clients = Clients::new();
    let refusing = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 9));
    names::set("refuses.hosts.test", &[refusing]);
    clients
        .ask(Way::Hyper, "refuses.hosts.test", 9, false)
        .await
        .unwrap_err();
    names::set("nowhere.hosts.test", &[]);
    clients
        .ask(Way::Hyper, "nowhere.hosts.test", 9, false)
        .await
        .unwrap_err();
    let reset = resets().await;
    names::set("resets.hosts.test", &[reset]);
    clients
        .ask(Way::Hyper, "resets.hosts.test", reset.port(), false)
        .await
        .unwrap_err();
    for (host, failure) in [
        ("refuses.hosts.test", Failure::Refused),
        ("nowhere.hosts.test", Failure::Dns),
        ("resets.hosts.test", Failure::Reset),
    ] {
        let peer = peer_of(&redhanded, host).expect(host);
        assert_eq!(peer.failures, [(failure, 1)], "{host}");
        assert!(peer.last_error.is_some() && peer.last_success.is_none());
    }
}

/// Whatever stands for a host is taken, and told so that it harms no terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_takes_whatever_stands_for_a_host() {
    let (redhanded, reports) = install("names");
    for (n, (given, shown, port)) in [
        ("db7.hosts.test:99999", "db7.hosts.test:99999", None),
        ("db7.hosts.test:0", "db7.hosts.test", None),
        ("[fe80::7%eth0]:5432", "fe80::7%eth0", Some(5432)),
        (
            "postgres://app:secret@db8.hosts.test:5433/shop",
            "db8.hosts.test",
            Some(5433),
        ),
        (
            "evil\u{1b}[2J.hosts.test:80",
            "evil%1B[2J.hosts.test",
            Some(80),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("names-{n}");
        let hangs = redhanded::outbound("postgres", given)
            .statement("ALTER ROLE app PASSWORD='hunter2'")
            .run(async {
                let answer = tokio::sync::Notify::new();
                answer.notified().await; // nobody will
            });
        let running = job(&redhanded, &name, hangs);
        let report = found(&reports, &name, |r| {
            r.evidence.as_ref().is_some_and(|e| !e.outbound.is_empty())
        })
        .await;
        let call = report.evidence.as_ref().unwrap().outbound[0].clone();
        assert_eq!(
            (call.peer.name.as_deref(), call.peer.port),
            (Some(shown), port),
            "{given:?}"
        );
        assert!(!call.what.unwrap().contains("hunter2"));
        let line = serde_json::to_string(&*report).unwrap();
        assert!(
            !line.contains("\\u001b") && !line.contains("secret"),
            "{line}"
        );
        running.abort();
    }
}

/// A host that resets every connection once it was asked.
async fn resets() -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 64];
            let _ = stream.read(&mut head).await;
            let socket = socket2::SockRef::from(&stream);
            let _ = socket.set_linger(Some(Duration::ZERO));
            drop(stream);
        }
    });
    address
}

/// What comes of `look` as soon as it gives something.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
