//! Who goes away, by the word of the socket; everything else is not known, and said to be so.

use crate::servers::*;
use crate::watched::{SLOW, Watched, watched};
use redhanded::report::How;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn hanging(watched: &Watched, server: SocketAddr, path: &str) -> TcpStream {
    let (mut stream, _) = connect(server).await;
    say(&mut stream, get(path).as_bytes()).await;
    watched.caught(path);
    stream
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_handler() {
    let watched = watched();
    let server = axum(&watched).await;
    drop(hanging(&watched, server, "/hang/close").await);
    reset(hanging(&watched, server, "/hang/reset").await);
    // hyper takes the end of what the client sends for the client's end, and so do we
    let mut half = hanging(&watched, server, "/hang/half").await;
    half.shutdown().await.expect("half an end");
    for path in ["/hang/close", "/hang/reset", "/hang/half"] {
        assert_eq!(
            (path, watched.outcome(path)),
            (path, (How::ClientGone, None))
        );
    }
    watched.becomes_empty();
}

/// Where the server goes on after half an end, the request comes to its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_connection_that_is_answered() {
    let watched = watched();
    let own = watched.clone();
    let (server, _) = by_hand(&watched, move |io| {
        let own = own.clone();
        async move { hyper_half_closed(&own, io).await }
    })
    .await;
    let (mut stream, _) = connect(server).await;
    say(&mut stream, get("/slow").as_bytes()).await;
    stream.shutdown().await.expect("half an end");
    assert!(answer(&mut stream).await.ends_with("/slow"));
    assert_eq!(watched.outcome("/slow"), (How::Completed, Some(200)));
    watched.becomes_empty();
}

/// The client reads for a while and then goes.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_response() {
    let watched = watched();
    let server = axum(&watched).await;
    for (path, end) in [
        ("/endless/close", drop as fn(TcpStream)),
        ("/endless/reset", reset),
    ] {
        let (mut stream, _) = connect(server).await;
        say(&mut stream, get(path).as_bytes()).await;
        assert_ne!(stream.read(&mut [0; 1000]).await.expect("a frame"), 0);
        watched.caught(path);
        end(stream);
        assert_eq!(
            (path, watched.outcome(path)),
            (path, (How::ClientGone, Some(200)))
        );
    }
    watched.becomes_empty();
}

/// Gone with half of its upload. The handler learns that from its body, and hangs all the same until
/// its connection is ended from outside; that the client is gone is known then.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_request() {
    let watched = watched();
    let own = watched.clone();
    let (server, task) = by_hand(&watched, move |io| {
        let own = own.clone();
        async move { hyper_in_its_task(&own, io).await }
    })
    .await;
    let (mut stream, _) = connect(server).await;
    let head = b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf";
    say(&mut stream, head).await;
    let caught = watched.caught("/upload");
    drop(stream);
    tokio::time::sleep(SLOW).await;
    task.lock()
        .expect("no panic")
        .take()
        .expect("a task")
        .abort();
    assert_eq!(watched.end_of(&caught), (How::ClientGone, None));
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_its_streams_of_http2() {
    let watched = watched();
    let server = axum_with_connect_info(&watched).await;
    let (sender, _, socket) = http2(server).await;
    let paths = [0, 1, 2, 3].map(|n| format!("/hang/{n}"));
    let asked = paths.clone().map(|path| {
        let mut sender = sender.clone();
        tokio::spawn(async move { sender.send_request(http2_get(&path)).await.is_ok() })
    });
    for path in &paths {
        watched.caught(path);
    }
    socket.shutdown(std::net::Shutdown::Both).expect("an end");
    for path in &paths {
        assert_eq!(
            (path, watched.outcome(path)),
            (path, (How::ClientGone, None))
        );
    }
    drop(asked);
    watched.becomes_empty();
}

/// One stream is given up, the client is still there.
#[tokio::test(flavor = "multi_thread")]
async fn one_stream_of_http2_that_is_given_up() {
    let watched = watched();
    let server = axum_with_connect_info(&watched).await;
    let (mut sender, _, _) = http2(server).await;
    let mut other = sender.clone();
    let asked = tokio::spawn(async move {
        let _ = other.send_request(http2_get("/hang")).await;
    });
    let caught = watched.caught("/hang");
    asked.abort();
    assert_eq!(watched.end_of(&caught), (How::Dropped, None));
    let answer = sender.send_request(http2_get("/slow")).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    drop(sender);
    watched.becomes_empty();
}

/// The server's own doing: a timeout around it, and a connection that it ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_drops_is_not_the_clients_doing() {
    let watched = watched();
    let own = watched.clone();
    let (server, task) = by_hand(&watched, move |io| {
        let own = own.clone();
        async move {
            let served = hyper_in_its_task(&own, io);
            let _ = tokio::time::timeout(SLOW * 12, served).await;
        }
    })
    .await;
    let timed_out = hanging(&watched, server, "/hang/timeout").await;
    assert_eq!(watched.outcome("/hang/timeout"), (How::Dropped, None));
    let ended = hanging(&watched, server, "/hang/ended").await;
    task.lock()
        .expect("no panic")
        .take()
        .expect("a task")
        .abort();
    assert_eq!(watched.outcome("/hang/ended"), (How::Dropped, None));
    drop((timed_out, ended));
    watched.becomes_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_panic_and_an_answer_an_answer() {
    let watched = watched();
    let server = axum(&watched).await;
    let (mut stream, _) = connect(server).await;
    say(&mut stream, get("/panic").as_bytes()).await;
    assert_eq!(watched.outcome("/panic"), (How::Panicked, None));
    let (mut stream, _) = connect(server).await;
    ask(&mut stream, "/slow").await;
    reset(stream);
    assert_eq!(watched.outcome("/slow"), (How::Completed, Some(200)));
    watched.becomes_empty();
}

/// A connection that follows in the same record is another one.
#[tokio::test(flavor = "multi_thread")]
async fn many_that_come_and_go() {
    let watched = watched();
    let server = axum(&watched).await;
    for round in 0..40 {
        let mut gone = Vec::new();
        for n in 0..20 {
            let (mut stream, _) = connect(server).await;
            if n % 2 == 0 {
                say(&mut stream, get("/hang").as_bytes()).await;
            }
            gone.push(stream);
        }
        let path = format!("/slow/{round}");
        if round % 8 == 0 {
            let (mut stream, _) = connect(server).await;
            ask(&mut stream, &path).await;
            gone.into_iter().for_each(reset);
            assert_eq!(watched.outcome(&path), (How::Completed, Some(200)));
        }
    }
    watched.becomes_empty();
}
