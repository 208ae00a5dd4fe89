//! Every report names the client of its own connection, or nobody.

use crate::servers::*;
use crate::watched::{client, watched};
use axum::extract::ConnectInfo;
use redhanded::report::Event;
use redhanded_tests::{PATIENCE, until};
use std::net::SocketAddr;
use std::time::Duration;
use tower::ServiceExt;

const CONNECTIONS: usize = 200;
/// So many requests are looked at per second; on a busy machine some come together and have no line.
const PACE: Duration = Duration::from_millis(25);

/// Quick ones on every connection all the time, and a slow one on each, one connection after the
/// other, so that none of them is left out of the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_hundreds_of_connections_each_is_known() {
    let watched = watched();
    let server = axum(&watched).await;
    let mut clients = Vec::new();
    for n in 0..CONNECTIONS {
        let (mut stream, own) = connect(server).await;
        let slow_at = tokio::time::Instant::now() + Duration::from_millis(200) + PACE * n as u32;
        clients.push(tokio::spawn(async move {
            let mut quick = 0;
            while tokio::time::Instant::now() < slow_at {
                ask(&mut stream, "/quick").await;
                quick += 1;
                tokio::time::sleep(Duration::from_millis(n as u64 % 7 * 5)).await;
            }
            ask(&mut stream, &format!("/fixed/{n}")).await;
            ask(&mut stream, "/quick").await;
            (own, quick)
        }));
    }
    let mut quick = 0;
    let mut owns = Vec::new();
    for task in clients {
        let (own, n) = task.await.expect("no panic");
        owns.push(own);
        quick += n;
    }
    let mut named = 0;
    for report in watched.reports() {
        let path = report.request.as_ref().map(|q| q.path.clone());
        if let Some(n) = path.as_deref().and_then(|p| p.strip_prefix("/fixed/")) {
            let own = &owns[n.parse::<usize>().expect("a number")];
            if report.event == Event::Caught {
                assert_eq!(client(&report).as_ref(), Some(own), "{path:?}");
                named += 1;
            }
        }
    }
    assert!(named >= CONNECTIONS / 2, "{named} of {CONNECTIONS}");
    assert!(quick > CONNECTIONS, "only {quick} others in between");
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut stream, own) = connect(server).await;
    let paths = ["/slow/1", "/slow/2", "/quick", "/slow/3"];
    say(&mut stream, paths.map(get).concat().as_bytes()).await;
    for path in paths {
        assert!(answer(&mut stream).await.ends_with(path));
    }
    for path in paths.iter().filter(|p| p.starts_with("/slow")) {
        assert_eq!(client(&watched.caught(path)), Some(own.clone()), "{path}");
    }
    watched.becomes_empty();
}

async fn hundred_streams(watched: &crate::watched::Watched, server: SocketAddr) {
    let (one, one_is, _) = http2(server).await;
    let (two, two_is, _) = http2(server).await;
    let mut answers = Vec::new();
    for n in 0..100 {
        let mut sender = if n % 2 == 0 { one.clone() } else { two.clone() };
        let path = format!("/fixed/{n}");
        answers.push(tokio::spawn(async move {
            let answer = sender.send_request(http2_get(&path)).await;
            assert_eq!(answer.expect("an answer").status(), 200);
        }));
        tokio::time::sleep(PACE).await;
    }
    for answer in answers {
        answer.await.expect("no panic");
    }
    let mut named = 0;
    for report in watched
        .reports()
        .iter()
        .filter(|r| r.event == Event::Caught)
    {
        let path = report.request.as_ref().map(|q| q.path.clone());
        let n = path.as_deref().and_then(|p| p.strip_prefix("/fixed/"));
        let n: usize = n.expect("a slow one").parse().expect("a number");
        let own = if n.is_multiple_of(2) {
            &one_is
        } else {
            &two_is
        };
        assert_eq!(client(report).as_ref(), Some(own), "{path:?}");
        named += 1;
    }
    assert!(named >= 50, "{named} of 100");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_http2_by_connect_info() {
    let watched = watched();
    let server = axum_with_connect_info(&watched).await;
    hundred_streams(&watched, server).await;
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_http2_whose_service_is_called_in_the_connections_task() {
    let watched = watched();
    let own = watched.clone();
    let (server, _) = by_hand(&watched, move |io| {
        let own = own.clone();
        async move { hyper_in_its_task(&own, io).await }
    })
    .await;
    hundred_streams(&watched, server).await;
    watched.becomes_empty();
}

/// Without it, a stream in a task of its own is nobody's: none is better than a wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn streams_of_http2_that_were_not_told() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut sender, _, _) = http2(server).await;
    let (mut beside, _) = connect(server).await;
    let (a, b) = tokio::join!(
        sender.send_request(http2_get("/slow/2")),
        ask(&mut beside, "/slow/1")
    );
    assert_eq!(a.expect("an answer").status(), 200);
    drop(b);
    assert_eq!(client(&watched.caught("/slow/2")), None);
    assert!(client(&watched.caught("/slow/1")).is_some());
}

/// Behind a proxy, the application knows better.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_request_brings_wins() {
    let watched = watched();
    let far: SocketAddr = "203.0.113.9:4711".parse().expect("an address");
    let app = app(&watched).layer(axum::Extension(ConnectInfo(far)));
    let (server, _) = by_hand(&watched, move |io| {
        let service = hyper_util::service::TowerToHyperService::new(app.clone());
        async move {
            let builder = hyper::server::conn::http1::Builder::new();
            let io = hyper_util::rt::TokioIo::new(io);
            let _ = builder.serve_connection(io, service).await;
        }
    })
    .await;
    let (mut stream, _) = connect(server).await;
    ask(&mut stream, "/slow").await;
    assert_eq!(client(&watched.caught("/slow")), Some(far.to_string()));
}

/// A request that another task makes up is nobody's, however busy the connections are.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_came_on_no_connection_has_no_client() {
    let watched = watched();
    let server = axum(&watched).await;
    let busy = tokio::spawn(async move {
        let (mut stream, _) = connect(server).await;
        loop {
            ask(&mut stream, "/quick").await;
        }
    });
    let app = app(&watched);
    let answer = tokio::spawn(async move {
        for n in 0..5 {
            let request = axum::extract::Request::get(format!("/slow/{n}"));
            let request = request.body(axum::body::Body::empty()).expect("a request");
            let answer = app.clone().oneshot(request).await;
            assert_eq!(answer.expect("infallible").status(), 200);
        }
    });
    answer.await.expect("no panic");
    busy.abort();
    for n in 0..5 {
        assert_eq!(client(&watched.caught(&format!("/slow/{n}"))), None, "{n}");
    }
}

/// A handler that asks another service of the same process: the same client.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_within_a_request_has_its_client() {
    let watched = watched();
    let inner = app(&watched);
    let outer = axum::Router::new()
        .fallback(move || async move {
            let request = axum::extract::Request::get("/slow/inner");
            let request = request.body(axum::body::Body::empty()).expect("a request");
            inner.oneshot(request).await
        })
        .layer(watched.redhanded.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let server = listener.local_addr().expect("an address");
    let listener = watched.redhanded.listener(listener);
    tokio::spawn(async move { axum::serve(listener, outer).await });
    let (mut stream, own) = connect(server).await;
    ask(&mut stream, "/outer").await;
    for path in ["/slow/inner", "/outer"] {
        assert_eq!(client(&watched.caught(path)), Some(own.clone()), "{path}");
    }
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_named() {
    let watched = watched();
    let server = axum(&watched).await;
    let url = format!("http://{server}/slow");
    let curl = || {
        std::process::Command::new("curl")
            .args(["-s", &url])
            .output()
    };
    let Ok(answer) = tokio::task::block_in_place(curl) else {
        eprintln!("skipped: there is no curl here");
        return;
    };
    assert_eq!(answer.stdout, b"/slow");
    let caught = watched.caught("/slow");
    assert!(client(&caught).is_some_and(|c| c.starts_with("127.0.0.1:")));
    let agent = &caught.request.expect("a request").headers["user-agent"];
    assert!(agent.starts_with("curl/"), "{agent}");
}

/// The address is the socket's, below TLS as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_within_tls() {
    let watched = watched();
    let (acceptor, connector) = crate::servers::tls();
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
    let (stream, address) = connect(server).await;
    let name = "localhost".try_into().expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("TLS");
    ask(&mut stream, "/quick").await;
    ask(&mut stream, "/slow").await;
    assert_eq!(client(&watched.caught("/slow")), Some(address));
    say(&mut stream, get("/hang").as_bytes()).await;
    let caught = watched.caught("/hang");
    drop(stream);
    assert_eq!(
        watched.end_of(&caught),
        (redhanded::report::How::ClientGone, None)
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_has_no_address_and_says_who_goes() {
    let watched = watched();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let listener = watched.redhanded.listener(listener);
    let app = app(&watched);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("a connection");
    ask(&mut stream, "/slow").await;
    assert_eq!(client(&watched.caught("/slow")), None);
    say(&mut stream, get("/hang").as_bytes()).await;
    let caught = watched.caught("/hang");
    drop(stream);
    assert_eq!(
        watched.end_of(&caught),
        (redhanded::report::How::ClientGone, None)
    );
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("a connection");
    say(&mut stream, b"GET /half").await;
    watched.caught_head(None);
    assert!(
        until(PATIENCE, || (watched.redhanded.in_flight() == 1)
            .then_some(()))
        .is_some()
    );
    drop(stream);
    watched.becomes_empty();
}
