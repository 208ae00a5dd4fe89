//! Clients that begin to speak and do not get as far as a request.

use crate::servers::*;
use crate::watched::{SLOW, SLOW_AFTER, Watched, client, watched};
use redhanded::report::{Class, How, Phase, Report, Role, WaitKind};
use redhanded_tests::{PATIENCE, until};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// What every such line says.
#[track_caller]
fn blames_nobody(caught: &Report, own: &str, said: &str) {
    let verdict = caught.verdict.as_ref().expect("a verdict");
    assert_eq!(
        (verdict.class, verdict.role),
        (Class::ClientStalled, Role::Bystander),
        "{verdict:?}"
    );
    assert!(verdict.culprit.is_none());
    let waits = verdict.waiting_for.as_ref().map(|w| w.kind);
    assert_eq!(waits, Some(WaitKind::Client));
    assert!(verdict.cause.contains(said), "{}", verdict.cause);
    assert_eq!(caught.phase, Some(Phase::RequestHead));
    assert_eq!(client(caught).as_deref(), Some(own));
    let request = caught.request.as_ref().expect("a request");
    assert_eq!((request.method.as_str(), &request.reproduce), ("", &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_on_a_fresh_connection() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut stream, own) = connect(server).await;
    say(&mut stream, b"GET /late HTTP/1.").await;
    let caught = watched.caught_head(Some(&own));
    blames_nobody(&caught, &own, "17 bytes of a request's head");
    drop(stream);
    assert_eq!(watched.end_of(&caught), (How::ClientGone, None));
    watched.becomes_empty();
}

/// The rest comes after all: the head ends well, and the request is one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_becomes_whole_on_a_connection_that_was_used_before() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut stream, own) = connect(server).await;
    ask(&mut stream, "/quick").await;
    say(&mut stream, b"GET /slow HTTP/1.1\r\n").await;
    let caught = watched.caught_head(Some(&own));
    blames_nobody(&caught, &own, "20 bytes of a request's head");
    say(&mut stream, b"host: a\r\n\r\n").await;
    assert!(answer(&mut stream).await.ends_with("/slow"));
    assert_eq!(watched.end_of(&caught), (How::Completed, None));
    assert_eq!(watched.outcome("/slow"), (How::Completed, Some(200)));
    watched.becomes_empty();
}

/// A byte now and then is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut stream, own) = connect(server).await;
    let dripping = tokio::spawn(async move {
        say(&mut stream, b"GET / HTTP/1.1\r\n").await;
        loop {
            say(&mut stream, b"x-a: b\r\n").await;
            tokio::time::sleep(SLOW_AFTER / 6).await;
        }
    });
    let caught = watched.caught_head(Some(&own));
    dripping.abort();
    blames_nobody(&caught, &own, "bytes of a request's head");
    let cause = caught.verdict.expect("a verdict").cause;
    let bytes = cause.split(' ').find_map(|word| word.parse::<u64>().ok());
    assert!(bytes.is_some_and(|n| n > 24 && n % 8 == 0), "{cause}");
    assert_eq!(
        watched.end_of(&watched.caught_head(Some(&own))),
        (How::ClientGone, None)
    );
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_handshake_that_is_not_finished() {
    let watched = watched();
    let (acceptor, connector) = tls();
    let own = watched.clone();
    let (server, _) = by_hand(&watched, move |io| {
        let (own, acceptor) = (own.clone(), acceptor.clone());
        async move {
            if let Ok(io) = acceptor.accept(io).await {
                hyper_in_its_task(&own, io).await;
            }
        }
    })
    .await;
    // A client that is done with the handshake and asks nothing, as browsers keep ready.
    let (ready, _) = connect(server).await;
    let name = "localhost".try_into().expect("a name");
    let ready = connector.connect(name, ready).await.expect("TLS");
    let (mut stream, own) = connect(server).await;
    say(&mut stream, &[22, 3, 1, 2, 0, 1, 0]).await;
    let caught = watched.caught_head(Some(&own));
    blames_nobody(&caught, &own, "7 bytes of a TLS handshake");
    let alone = until(PATIENCE, || {
        (watched.redhanded.in_flight() == 1).then_some(())
    });
    assert!(alone.is_some(), "{:?}", watched.redhanded);
    drop(stream);
    assert_eq!(watched.end_of(&caught), (How::ClientGone, None));
    drop(ready);
    watched.becomes_empty();
}

/// One after the other, after whatever came before, and then nothing.
async fn idle_connections(server: SocketAddr) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    let mut keep = async |before: &[&[u8]], answers: usize| {
        let (mut stream, _) = connect(server).await;
        for part in before {
            say(&mut stream, part).await;
            // In segments of their own, so that the body is read after the head
            tokio::time::sleep(SLOW_AFTER / 3).await;
        }
        for _ in 0..answers {
            answer(&mut stream).await;
        }
        idle.push(stream);
    };
    keep(&[], 0).await;
    keep(&[b"\r\n"], 0).await;
    keep(&[get("/quick").as_bytes()], 1).await;
    keep(&[get("/aside/quick").as_bytes()], 1).await;
    keep(&[get("/a").as_bytes(), get("/b").as_bytes()], 2).await;
    keep(&[(get("/a") + &get("/b")).as_bytes()], 2).await;
    let post = |path| format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    for path in ["/upload", "/aside/upload"] {
        keep(&[post(path).as_bytes(), b"UPPER", b"CASES"], 1).await;
        keep(&[(post(path) + "UPPERCASES").as_bytes()], 1).await;
    }
    // A body that nobody reads; hyper drains what is there, and then waits for the next head.
    keep(&[(post("/quick") + "UPPERCASES").as_bytes()], 1).await;
    keep(&[post("/slow").as_bytes(), b"UPPER", b"CASES"], 1).await;
    idle
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_not_reported() {
    let watched = watched();
    let server = axum(&watched).await;
    let idle = idle_connections(server).await;
    let (h2, _, _) = http2(server).await;
    let (mut used, _, _) = http2(server).await;
    let answer = used.send_request(http2_get("/quick")).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    // What is begun now is seen, and everything before had more time than that.
    let (mut stream, own) = connect(server).await;
    say(&mut stream, b"GET").await;
    let caught = watched.caught_head(Some(&own));
    blames_nobody(&caught, &own, "3 bytes of a request's head");
    let in_flight = until(PATIENCE, || {
        (watched.redhanded.in_flight() == 1).then_some(())
    });
    assert!(in_flight.is_some(), "{:?}", watched.redhanded);
    assert_eq!(heads(&watched), 1);
    drop((idle, h2, used, stream));
    watched.becomes_empty();
}

fn heads(watched: &Watched) -> usize {
    let reports = watched.reports();
    let slow = reports.iter().filter(|r| {
        r.event == redhanded::report::Event::Caught && r.phase == Some(Phase::RequestHead)
    });
    slow.count()
}

/// Slow as it may be: it is a body, whether we watch its request or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_big_slow_upload_is_no_slow_head() {
    let watched = watched();
    let server = axum(&watched).await;
    for path in ["/upload", "/aside/upload"] {
        let (mut stream, _) = connect(server).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 1600000\r\n\r\n");
        say(&mut stream, head.as_bytes()).await;
        for _ in 0..16 {
            say(&mut stream, &[b'A'; 100_000]).await;
            tokio::time::sleep(SLOW / 8).await;
        }
        assert!(answer(&mut stream).await.ends_with("1600000"));
    }
    // A slow handler beside the watched ones is none, either.
    let (mut stream, _) = connect(server).await;
    ask(&mut stream, "/aside/fixed").await;
    let (mut half, own) = connect(server).await;
    say(&mut half, b"GET").await;
    watched.caught_head(Some(&own));
    assert_eq!(heads(&watched), 1);
    drop(half);
    watched.becomes_empty();
}

/// An upgraded connection speaks another language.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_upgrade_is_no_head() {
    let watched = watched();
    let layer = watched.redhanded.layer();
    let app = axum::Router::new()
        .fallback(async |mut request: axum::extract::Request| {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let io = upgrade.await.expect("an upgrade");
                let mut read = hyper_util::rt::TokioIo::new(io);
                tokio::io::copy(&mut read, &mut tokio::io::sink()).await
            });
            let answer = axum::response::Response::builder().status(101);
            let answer = answer
                .header("connection", "upgrade")
                .header("upgrade", "sink");
            answer.body(axum::body::Body::empty()).expect("a response")
        })
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let server = listener.local_addr().expect("an address");
    let listener = watched.redhanded.listener(listener);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let (mut stream, _) = connect(server).await;
    say(
        &mut stream,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: sink\r\n\r\n",
    )
    .await;
    let mut read = vec![0; 4096];
    let n = tokio::io::AsyncReadExt::read(&mut stream, &mut read).await;
    assert!(read[..n.expect("an answer")].starts_with(b"HTTP/1.1 101"));
    say(&mut stream, b"GET").await;
    let (mut half, own) = connect(server).await;
    say(&mut half, b"GET").await;
    blames_nobody(&watched.caught_head(Some(&own)), &own, "3 bytes");
    assert_eq!(heads(&watched), 1);
    drop((stream, half));
    watched.becomes_empty();
}

/// No worker had time to read: the client may have sent everything.
#[test]
fn a_head_that_nobody_had_time_to_read() {
    let watched = watched();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let layer = watched.redhanded.layer();
    let app = axum::Router::new()
        .fallback(move || {
            let held = held.clone();
            async move {
                let _ = held.lock().expect("no panic").recv_timeout(PATIENCE);
            }
        })
        .layer(layer);
    let server = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let server = listener.local_addr().expect("an address");
        let listener = watched.redhanded.listener(listener);
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    });
    use std::io::Write;
    let connect = || std::net::TcpStream::connect(server).expect("a connection");
    let mut half = connect();
    half.write_all(b"GET /half HTTP/1.1\r\n").expect("a server");
    let begun = until(PATIENCE, || {
        (watched.redhanded.in_flight() == 1).then_some(())
    });
    begun.expect("it is noticed");
    let mut wedge = connect();
    wedge.write_all(get("/wedge").as_bytes()).expect("a server");
    let begun = until(PATIENCE, || {
        (watched.redhanded.in_flight() == 2).then_some(())
    });
    begun.expect("it is served");
    half.write_all(b"host: a\r\n\r\n").expect("a server");
    let caught = watched.record("starved head", |r| {
        let starved = r
            .verdict
            .as_ref()
            .is_some_and(|v| v.class == Class::Starved);
        r.phase == Some(Phase::RequestHead) && starved
    });
    let verdict = caught.verdict.expect("a verdict");
    assert_eq!(verdict.role, Role::Victim);
    assert_eq!(verdict.victim_of, Some(watched.caught("/wedge").id));
    drop(release);
    watched.becomes_empty();
}
