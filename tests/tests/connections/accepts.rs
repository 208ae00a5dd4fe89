//! Accept loops that stand still, and those that only seem to.

use crate::servers::*;
use crate::watched::{Watched, watched};
use redhanded::report::{Class, Confidence, Event, Report, Role};
use redhanded_tests::{PATIENCE, until};
use std::net::{SocketAddr, TcpStream};
use tokio::net::TcpListener;

fn is_trouble_at(report: &Report, listener: &str) -> bool {
    let cause = report.verdict.as_ref().map(|v| v.cause.as_str());
    report.event == Event::Process && cause.is_some_and(|cause| cause.contains(listener))
}

/// What is told of connections that nobody accepts at `listener`.
#[track_caller]
fn told(watched: &Watched, listener: &str) -> Report {
    let report = watched.record("process record", |r| is_trouble_at(r, listener));
    let verdict = report.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.class, Class::Undriven, "{verdict:?}");
    assert!(report.request.is_none() && report.elapsed_ms.is_some());
    report
}

fn connect_some(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(server).expect("the kernel answers");
    (0..count).map(connect).collect()
}

async fn listening(watched: &Watched) -> (redhanded::Listener<TcpListener>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listener = watched.redhanded.listener(listener);
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_ended() {
    let watched = watched();
    let (listener, server) = listening(&watched).await;
    let first = connect_some(server, 1);
    listener.accept().await.expect("a connection");
    let waiting = connect_some(server, 3);
    let report = told(&watched, &server.to_string());
    let verdict = report.verdict.expect("a verdict");
    assert_eq!(
        (verdict.role, verdict.confidence),
        (Role::Bystander, Confidence::Proved)
    );
    for said in ["3 connections wait", "last polled", "is not in accept now"] {
        assert!(verdict.cause.contains(said), "{}", verdict.cause);
    }
    // Told once, until somebody accepts and stops again.
    for _ in 0..3 {
        listener.accept().await.expect("a connection");
    }
    let again = connect_some(server, 1);
    let twice = || {
        let reports = watched.reports();
        let name = server.to_string();
        let all: Vec<_> = reports
            .into_iter()
            .filter(|r| is_trouble_at(r, &name))
            .collect();
        (all.len() >= 2).then_some(all)
    };
    let all = until(PATIENCE, twice).expect("the next episode is told as well");
    let causes = all.iter().map(|r| &r.verdict.as_ref().expect("one").cause);
    let first_words: Vec<_> = causes
        .map(|c| c.split(' ').next().expect("words"))
        .collect();
    assert_eq!(first_words, ["3", "1"]);
    drop((first, waiting, again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_never_began() {
    let watched = watched();
    let (listener, server) = listening(&watched).await;
    let waiting = connect_some(server, 1);
    let verdict = told(&watched, &server.to_string()).verdict.expect("one");
    let said = "1 connection waits to be accepted";
    assert!(verdict.cause.starts_with(said), "{}", verdict.cause);
    assert!(
        verdict.cause.contains("accept was never called"),
        "{}",
        verdict.cause
    );
    drop((listener, waiting));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_where_nobody_accepts() {
    let watched = watched();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let listener = watched.redhanded.listener(listener);
    let waiting = std::os::unix::net::UnixStream::connect(&path).expect("a connection");
    let name = path.display().to_string();
    let verdict = told(&watched, &name).verdict.expect("one");
    assert!(
        verdict.cause.starts_with("at least 1 connection waits"),
        "{}",
        verdict.cause
    );
    drop((listener, waiting));
}

/// A loop that accepts what comes is never told of, however much comes, and one that waits for
/// hours is not either.
#[tokio::test(flavor = "multi_thread")]
async fn busy_and_idle_loops_are_in_order() {
    let watched = watched();
    let busy = axum(&watched).await;
    let idle = axum(&watched).await;
    let coming = tokio::spawn(async move {
        loop {
            let (mut stream, _) = connect(busy).await;
            ask(&mut stream, "/quick").await;
        }
    });
    // Longer than these have had is what this one takes.
    for _ in 0..3 {
        let (listener, still) = listening(&watched).await;
        let waiting = connect_some(still, 1);
        told(&watched, &still.to_string());
        drop((listener, waiting));
    }
    coming.abort();
    let reports = watched.reports();
    for server in [busy, idle] {
        let name = server.to_string();
        assert!(!reports.iter().any(|r| is_trouble_at(r, &name)));
    }
}

/// Nobody is left who could accept: the fault of who keeps the workers.
#[test]
fn a_loop_whose_workers_are_all_taken() {
    let watched = watched();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let app = axum::Router::new()
        .fallback(move || {
            let held = held.clone();
            async move {
                let _ = held.lock().expect("no panic").recv_timeout(PATIENCE);
            }
        })
        .layer(watched.redhanded.layer());
    let server = runtime.block_on(async {
        let (listener, server) = listening(&watched).await;
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    });
    use std::io::Write;
    let mut wedge = TcpStream::connect(server).expect("a connection");
    wedge.write_all(get("/wedge").as_bytes()).expect("a server");
    let caught = watched.caught("/wedge");
    let waiting = connect_some(server, 5);
    let report = told(&watched, &server.to_string());
    let verdict = report.verdict.expect("a verdict");
    assert_eq!(
        (verdict.role, verdict.confidence),
        (Role::Victim, Confidence::Proved),
        "{}",
        verdict.cause
    );
    assert_eq!(verdict.victim_of, Some(caught.id));
    assert!(
        verdict.cause.starts_with("5 connections wait"),
        "{}",
        verdict.cause
    );
    drop((release, waiting));
    watched.becomes_empty();
}

/// The port is free as soon as its owner has closed it, whatever we were about to see there.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_closed_is_closed() {
    let watched = watched();
    for round in 0..50 {
        let (listener, server) = listening(&watched).await;
        let waiting = connect_some(server, 2);
        if round % 10 == 0 {
            told(&watched, &server.to_string());
        }
        let kept = (round % 2 == 0).then(|| listener.into_inner());
        assert_eq!(TcpStream::connect(server).is_ok(), kept.is_some());
        drop(kept);
        assert!(TcpStream::connect(server).is_err());
        drop(waiting);
    }
}
