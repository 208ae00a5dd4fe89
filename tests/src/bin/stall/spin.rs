//! Polls that return at once, and come again at once.

use axum::body::{Body, Bytes};
use axum::routing::{MethodRouter, any};
use futures_util::stream::{self, StreamExt};
use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "wakes_itself" => any(wakes_itself),
        "ignores_the_end" => any(async || drop(ignores_the_end().await)),
        "retries" => any(retries),
        "fast_rows" => any(async || Body::from_stream(fast_rows())),
        "join_set" => any(join_set),
        "busy_channel" => any(busy_channel),
        "takes_all" => any(takes_all),
        _ => return None,
    })
}

/// A future that was written by hand: not ready, but call me at once.
async fn wakes_itself() {
    crate::stalls_in_the_next_lines!(5);
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

/// A connection that was closed is ready to be read for ever: nothing.
async fn ignores_the_end() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    drop(listener.accept().await?);
    let mut line = Vec::new();
    let mut bytes = [0; 64];
    crate::stalls_in_the_next_lines!(4);
    while !line.ends_with(b"\n") {
        let read = stream.read(&mut bytes).await?;
        line.extend_from_slice(&bytes[..read]);
    }
    Ok(())
}

fn try_it() -> Option<u32> {
    None
}

/// A retry without a pause; at least it lets others run.
async fn retries() {
    crate::stalls_in_the_next_lines!(3);
    while try_it().is_none() {
        yield_now().await;
    }
}

const A_WHILE: Duration = Duration::from_secs(2);

/// Innocent: as many rows as somebody wants to read.
fn fast_rows() -> impl stream::Stream<Item = Result<Bytes, Infallible>> + use<> {
    let begun = Instant::now();
    let row = stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1024])));
    row.take_while(move |_| std::future::ready(begun.elapsed() < A_WHILE))
}

/// Innocent: thousands of children that end one after the other.
async fn join_set() -> String {
    let begun = Instant::now();
    let mut children = JoinSet::new();
    let mut ended = 0_u64;
    while begun.elapsed() < A_WHILE {
        for _ in 0..64 {
            children.spawn(async { tokio::time::sleep(Duration::from_micros(10)).await });
        }
        while children.join_next().await.is_some() {
            ended += 1;
        }
    }
    ended.to_string()
}

/// Innocent: woken for every message, of which there are many.
async fn busy_channel() -> String {
    let (send, mut receive) = mpsc::channel::<u64>(1);
    let sending = std::thread::spawn(move || {
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < A_WHILE && send.blocking_send(sent).is_ok() {
            sent += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    let mut sum = 0_u64;
    while let Some(message) = receive.recv().await {
        sum = sum.wrapping_add(message);
    }
    drop(sending.join());
    sum.to_string()
}

/// Innocent: reads what its client sends, frame by frame.
async fn takes_all(body: Body) -> String {
    let mut frames = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(frame)) = frames.next().await {
        bytes += frame.len();
    }
    bytes.to_string()
}
