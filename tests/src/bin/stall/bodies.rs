//! Requests and responses whose bodies do not come to an end.

use crate::blocked::DAY;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use futures_util::stream::{self, Stream, StreamExt};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::time::sleep;

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "upload" => any(async |bytes: Bytes| bytes.len().to_string()),
        "download" => any(async || Body::from_stream(stream::repeat_with(block))),
        "events" => any(events),
        "busy_events" => any(async || events_of(stream::repeat_with(busy))),
        "blocked_events" => any(blocked_events),
        "busy_rows" => any(async || Body::from_stream(stream::repeat_with(busy))),
        "steady" => any(async || Body::from_stream(rows(usize::MAX))),
        "stops" => any(async || Body::from_stream(rows(3))),
        "body_panic" => {
            any(async || Body::from_stream(rows(usize::MAX).take(2).chain(stream::once(broken()))))
        }
        _ => return None,
    })
}

type Chunk = Result<Bytes, Infallible>;

fn block() -> Chunk {
    Ok(Bytes::from_static(&[b'x'; 64 << 10]))
}

/// One event, and then no news for a day.
async fn events() -> impl IntoResponse {
    let first = stream::once(async { Chunk::Ok(Bytes::from_static(b"data: hello\n\n")) });
    let later = stream::once(async {
        sleep(DAY).await;
        Chunk::Ok(Bytes::from_static(b"data: still there\n\n"))
    });
    events_of(first.chain(later))
}

fn events_of(events: impl Stream<Item = Chunk> + Send + 'static) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/event-stream; charset=utf-8")],
        Body::from_stream(events),
    )
}

/// An event that takes a millisecond of work; whoever looks finds it inside a poll.
fn busy() -> Chunk {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    Ok(Bytes::from_static(b"data: busy\n\n"))
}

/// Many events, and then one that blocks its thread.
async fn blocked_events() -> impl IntoResponse {
    events_of(
        stream::repeat_with(busy)
            .take(200)
            .chain(stream::once(block_for_ever())),
    )
}

async fn block_for_ever() -> Chunk {
    crate::stalls_in_the_next_lines!(1);
    std::thread::sleep(DAY);
    busy()
}

/// A row every 100 ms; after `good` of them none.
fn rows(good: usize) -> impl Stream<Item = Chunk> {
    stream::unfold(0, move |row| next_row(row, good))
}

async fn next_row(row: usize, good: usize) -> Option<(Chunk, usize)> {
    sleep(Duration::from_millis(100)).await;
    if row == good {
        crate::stalls_in_the_next_lines!(1);
        sleep(DAY).await;
    }
    Some((Ok(Bytes::from(format!("row {row}\n"))), row + 1))
}

async fn broken() -> Chunk {
    sleep(Duration::from_millis(900)).await;
    panic!("on purpose")
}
