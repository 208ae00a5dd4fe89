//! Requests that allocate and give nothing back, and those that only look like it.
//!
//! What grows stops at a gigabyte and hangs: a test that fails must not take the machine along.

use crate::blocked::DAY;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use futures_util::stream;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

const GIB: usize = 1 << 30;
const KIB: usize = 1 << 10;

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "hoards" => any(async || hoard()),
        "collects" => any(collect),
        "unread" => any(async || unread(100, KIB)),
        "is_read" => any(async || unread(1, 10 * KIB)),
        "one_buffer" => any(one_buffer),
        "churns" => any(churn),
        "fills_a_cache" => any(fill_a_cache),
        "hands_on" => any(hand_on),
        "follows" => any(async || follows()),
        "fresh_rows" => any(async || Body::from_stream(stream::repeat_with(fresh_row))),
        _ => return None,
    })
}

/// Something that takes a while.
fn work(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Some 300 MiB a second in one poll, on a machine that has nothing else to do.
fn hoard() -> String {
    let mut kept = Vec::new();
    crate::stalls_in_the_next_lines!(6);
    while kept.len() < GIB / (64 * KIB) {
        kept.push(vec![1_u8; 64 * KIB]);
        for n in 0..10_000 {
            black_box(n);
        }
    }
    std::thread::sleep(DAY);
    black_box(kept).len().to_string()
}

/// 30 MiB a second, in many polls.
async fn collect() -> String {
    let mut kept = Vec::new();
    crate::stalls_in_the_next_lines!(4);
    while kept.len() < GIB / (64 * KIB) {
        kept.push(vec![1_u8; 64 * KIB]);
        sleep(Duration::from_millis(2)).await;
    }
    sleep(DAY).await;
    black_box(kept).len().to_string()
}

/// Events through a channel without a bound.
fn unread(at_once: usize, bytes: usize) -> impl IntoResponse {
    let (sender, receiver) = unbounded_channel();
    drop(redhanded::spawn(produce(sender, at_once, bytes)));
    let events = stream::unfold(receiver, next_event);
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
}

/// A hundred times a second so many messages, whether anybody takes them or not.
async fn produce(sender: UnboundedSender<String>, at_once: usize, bytes: usize) {
    crate::stalls_in_the_next_lines!(6);
    for _ in 0..GIB / (at_once * bytes) {
        for _ in 0..at_once {
            let _ = sender.send("x".repeat(bytes));
        }
        sleep(Duration::from_millis(10)).await;
    }
    sleep(DAY).await;
}

async fn next_event(
    mut receiver: UnboundedReceiver<String>,
) -> Option<(Result<Bytes, Infallible>, UnboundedReceiver<String>)> {
    let message = receiver.recv().await?;
    Some((Ok(Bytes::from(format!("data: {message}\n\n"))), receiver))
}

/// Much at once, and no more.
async fn one_buffer() -> String {
    let buffer = vec![1_u8; 64 * KIB * KIB];
    crate::stalls_in_the_next_lines!(1);
    sleep(DAY).await;
    black_box(buffer).len().to_string()
}

/// 200 MiB a second, each of them freed at once.
async fn churn() -> String {
    crate::stalls_in_the_next_lines!(4);
    loop {
        drop(black_box(vec![1_u8; 1024 * KIB]));
        sleep(Duration::from_millis(5)).await;
    }
}

/// What it allocates, a task that is not watched frees.
async fn hand_on() -> String {
    let (sender, mut receiver) = unbounded_channel();
    drop(tokio::spawn(async move {
        while let Some(buffer) = receiver.recv().await {
            drop::<Vec<u8>>(black_box(buffer));
        }
    }));
    loop {
        let _ = sender.send(vec![1_u8; 256 * KIB]);
        sleep(Duration::from_millis(5)).await;
    }
}

/// A stream whose request goes on to collect when its client has gone.
fn follows() -> impl IntoResponse {
    let (sender, receiver) = unbounded_channel();
    drop(redhanded::spawn(async move {
        sender.closed().await;
        drop(sender);
        collect().await
    }));
    let events = stream::unfold(receiver, next_event);
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
}

/// 64 MiB in a second and a quarter, and then it is full.
async fn fill_a_cache() -> String {
    static CACHE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    for _ in 0..64 {
        let entry = vec![1_u8; 1024 * KIB];
        CACHE.lock().expect("no panic").push(entry);
        sleep(Duration::from_millis(20)).await;
    }
    crate::stalls_in_the_next_lines!(1);
    sleep(DAY).await;
    CACHE.lock().expect("no panic").len().to_string()
}

/// Each is allocated by the request and freed by the connection.
fn fresh_row() -> Result<Bytes, Infallible> {
    work(Duration::from_millis(1));
    Ok(Bytes::from(vec![b'x'; 64 * KIB]))
}
