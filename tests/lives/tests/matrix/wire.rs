//! HTTP/1.1 byte for byte: what a library of a client would not say.

use redhanded_lives::{End, Lane, Raw, Wanted, scale};
use std::fmt::Write;

/// Everything that is said by hand.
pub(crate) async fn by_hand(lane: &mut Lane, each: u64) {
    pipelined(lane, scale(each)).await;
    pipelined_and_left(lane, scale(each / 4)).await;
    old(lane, scale(each)).await;
    expects(lane, scale(each)).await;
    expects_and_is_refused(lane, scale(each)).await;
    half_closed(lane, scale(each / 4)).await;
}

/// Several requests in one write; the answers come one after another.
async fn pipelined(lane: &mut Lane, connections: u64) {
    let (at, mut requests) = (lane.server.port(), 0);
    let mut counts: Vec<u64> = (0..connections).map(|_| lane.chance.among(2..17)).collect();
    requests += counts.iter().sum::<u64>();
    let counts = std::sync::Mutex::new(std::mem::take(&mut counts));
    lane.each("pipelining", connections, 16, |mut chance| {
        let count = counts.lock().expect("no panic").pop().expect("one each");
        async move {
            let mut text = String::new();
            for request in 0..count {
                let bytes = chance.among(0..500);
                let last = if request + 1 == count {
                    "connection: close\r\n"
                } else {
                    ""
                };
                let word = if chance.one_in(2) { "plain" } else { "unknown" };
                let _ = write!(
                    text,
                    "GET /{word}?bytes={bytes}&frames=2 HTTP/1.1\r\nhost: lives\r\n{last}\r\n"
                );
            }
            let mut raw = Raw::connect(at, false).await;
            raw.say(&text).await;
            let heard = raw.hear_all().await;
            let answers = heard.matches("HTTP/1.1 200 OK").count() as u64;
            assert_eq!(answers, count, "{heard}");
        }
    })
    .await;
    lane.settle("pipelining", Wanted::of(End::Completed, requests))
        .await;
}

/// Of several requests in one write the last hangs, and the client leaves.
async fn pipelined_and_left(lane: &mut Lane, connections: u64) {
    let (at, gate) = (lane.server.port(), lane.gate.clone());
    let arrived = gate.arrived();
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut raw = Raw::connect(at, lane.chance.one_in(2)).await;
        let of = |word| format!("GET /{word}?bytes=5 HTTP/1.1\r\nhost: lives\r\n\r\n");
        raw.say(&[of("plain"), of("plain"), of("hang")].concat())
            .await;
        clients.push(raw);
    }
    gate.wait(arrived + connections, "pipelining, left").await;
    drop(clients);
    let wanted = Wanted::of(End::Completed, 2 * connections).and(End::Gone, connections);
    lane.settle("pipelining, left at the last", wanted).await;
}

/// HTTP/1.0 without keep-alive: the end of the connection is the end of the body.
async fn old(lane: &mut Lane, count: u64) {
    let at = lane.server.port();
    lane.each("HTTP/1.0", count, 32, |mut chance| async move {
        let word = if chance.one_in(2) { "plain" } else { "unknown" };
        let bytes = chance.among(1..2000);
        let mut raw = Raw::connect(at, false).await;
        raw.say(&format!(
            "GET /{word}?bytes={bytes}&frames=3 HTTP/1.0\r\n\r\n"
        ))
        .await;
        let heard = raw.hear_all().await;
        let body = heard.split_once("\r\n\r\n").expect("a head").1;
        let frames = if word == "plain" { 1 } else { 3 };
        assert_eq!(body.len() as u64, frames * bytes, "{heard}");
    })
    .await;
    lane.settle("HTTP/1.0", Wanted::of(End::Completed, count))
        .await;
}

/// The client sends its body when it is told to.
async fn expects(lane: &mut Lane, count: u64) {
    let at = lane.server.port();
    lane.each("Expect: 100-continue", count, 32, |mut chance| async move {
        let body = "x".repeat(chance.among(1..3000) as usize);
        let mut raw = Raw::connect(at, false).await;
        raw.say(&format!(
            "POST /echo HTTP/1.1\r\nhost: lives\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
        .await;
        raw.hear("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.forget();
        raw.say(&body).await;
        raw.hear(&format!("\r\n\r\n{body}")).await;
    })
    .await;
    lane.settle("Expect: 100-continue", Wanted::of(End::Completed, count))
        .await;
}

/// The handler answers without asking for the body.
async fn expects_and_is_refused(lane: &mut Lane, count: u64) {
    let at = lane.server.port();
    lane.each("Expect, refused", count, 32, |mut chance| async move {
        let bytes = chance.among(1..3000);
        let mut raw = Raw::connect(at, false).await;
        raw.say(&format!(
            "POST /broken?bytes={bytes} HTTP/1.1\r\nhost: lives\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        ))
        .await;
        let heard = raw.hear(&format!("\r\n\r\n{}", "x".repeat(bytes as usize))).await;
        assert!(heard.starts_with("HTTP/1.1 500"), "{heard}");
    })
    .await;
    lane.settle("Expect, refused", Wanted::of(End::Completed, count))
        .await;
}

/// A client that has said all it will say still wants its answer; hyper takes the end of its half
/// for its leaving, unless told otherwise, and axum does not tell.
async fn half_closed(lane: &mut Lane, count: u64) {
    use tokio::io::AsyncWriteExt;
    let (at, gate) = (lane.server.port(), lane.gate.clone());
    let arrived = gate.arrived();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect(at, false).await;
        raw.say("GET /hang HTTP/1.1\r\nhost: lives\r\n\r\n").await;
        clients.push(raw.into_io());
    }
    gate.wait(arrived + count, "half closed").await;
    for client in &mut clients {
        client.shutdown().await.expect("it is open");
    }
    lane.settle("client closes its half", Wanted::of(End::Gone, count))
        .await;
    drop(clients);
}
