//! Merely long.

use super::*;
use crate::accused::is_the_clients;
use futures_util::{SinkExt, StreamExt};
use redhanded::report::{How, Phase};
use redhanded_lives::Protocol::{H1, H2};
use redhanded_lives::{channel, follow_greeter};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come() {
    let one = One::new(Flavour::Axum).await;
    let target = format!("/events?frames={SIGNS}&pause_us={}", PACE.as_micros());
    for protocol in [H1, H2] {
        let mut client = one.client(protocol).await;
        let answer = client.send(get(&target)).await.expect("an answer");
        let events = read(answer).await;
        let events = events.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        assert_eq!(events.count() as u64, SIGNS);
        one.becomes_empty().await;
        one.is_silent(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_do_not_come() {
    let one = One::new(Flavour::Axum).await;
    let mut answers = Vec::new();
    for protocol in [H1, H2] {
        let mut client = one.client(protocol).await;
        let answer = client.send(get("/rest?frames=1")).await;
        answers.push((client, answer.expect("an answer")));
    }
    one.gate.wait(2, "they rest").await;
    tokio::time::sleep(LONG).await;
    one.is_silent(2);
    drop(answers);
    one.becomes_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_streams() {
    let one = One::new(Flavour::Tonic).await;
    let channel = channel(&one.server.address).await;
    let rests = follow_greeter(channel.clone(), "FollowForEver", 1).await;
    let moves = follow_greeter(channel, "FollowSlowly", SIGNS).await;
    let mut moves = moves.expect("a stream");
    let mut rows = 0;
    while moves.message().await.expect("no error").is_some() {
        rows += 1;
    }
    assert_eq!(rows, SIGNS);
    let redhanded = &one.watched.redhanded;
    assert!(comes(|| redhanded.in_flight() == 1).await);
    one.is_silent(1);
    drop(rests);
    one.becomes_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket() {
    let one = One::new(Flavour::Axum).await;
    let at = one.server.port();
    let io = tokio::net::TcpStream::connect(at)
        .await
        .expect("it listens");
    let opened = tokio_tungstenite::client_async(format!("ws://{at}/socket"), io).await;
    let (mut socket, _) = opened.expect("an upgrade");
    for word in 0..SIGNS {
        let word = Message::text(word.to_string());
        socket.send(word.clone()).await.expect("it lives");
        let heard = socket.next().await.expect("an answer");
        assert_eq!(heard.expect("a whole one"), word);
        one.is_silent(0);
        tokio::time::sleep(PACE).await;
    }
    assert_eq!(one.watched.redhanded.stats().ended.completed, 1);
}

/// Its idle time counts, and not its age. A pause between two frames that the machine makes is none
/// of its own, so the threshold is far from the pace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_stream_that_moves() {
    let one = One::slow_after(Flavour::Axum, LONG / 4).await;
    let target = format!(
        "/unknown?frames={SIGNS}&bytes=9&pause_us={}",
        PACE.as_micros()
    );
    for protocol in [H1, H2] {
        let mut client = one.client(protocol).await;
        let answer = client.send(get(&target)).await.expect("an answer");
        assert_eq!(read(answer).await.len() as u64, 9 * SIGNS);
        one.becomes_empty().await;
        one.is_silent(0);
    }
}

/// From the layer, an upload that moves looks like one that rests: its handler is pending for the
/// bytes of its client. It is caught, as the client's own doing, and it ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_moves() {
    for protocol in [H1, H2] {
        let one = One::new(Flavour::Axum).await;
        let body = Frames::unknown().in_frames(SIGNS, 100, PACE);
        let mut client = one.client(protocol).await;
        let answer = tokio::spawn(client.send(ask("POST", "/sink", body)));
        is_the_clients(&one, "/sink", Phase::RequestBody).await;
        let answer = answer.await.expect("no panic").expect("an answer");
        assert_eq!(read(answer).await.len() as u64, 100 * SIGNS);
        let outcome = one
            .report("/sink", Event::Ended)
            .await
            .outcome
            .expect("one");
        assert_eq!((outcome.how, outcome.status), (How::Completed, Some(200)));
        one.becomes_empty().await;
    }
}
