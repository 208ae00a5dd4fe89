//! An answer that stops in its body: time-outs for the connection and for the head are set, and cover neither.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use redhanded::report::Class;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

pub(super) fn case() -> Case {
    Case {
        code: "F3",
        title: "an answer that stops in its body",
        source: include_str!("half_a_body.rs"),
        file: file!(),
        app: |_| app(reqwest::Client::builder().build()),
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            function: Some("half_a_body::stock"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The same with a client whose calls are watched.
pub(super) fn watched() -> Case {
    Case {
        code: "F3b",
        title: "the same, called by a client that is watched",
        app: |ground: &Ground| app(Ok(ground.reqwest(reqwest::Client::builder()))),
        ..case()
    }
}

#[derive(Clone)]
struct Shop {
    client: reqwest::Client,
    supplier: SocketAddr,
}

fn app(client: reqwest::Result<reqwest::Client>) -> Router {
    const BEGUN: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{";
    let shop = Shop {
        client: client.expect("a client without TLS"),
        supplier: peers::stops_after("peer", BEGUN),
    };
    Router::new().route("/stock", get(stock)).with_state(shop)
}

fn play(play: &mut Play) {
    play.told("peer");
    play.culprit("/stock");
}

async fn stock(State(shop): State<Shop>) -> Result<String, StatusCode> {
    let asked = shop.client.get(format!("http://{}/", shop.supplier)).send();
    let answer = timeout(Duration::from_secs(2), asked).await;
    let answer = answer.map_err(|_| StatusCode::GATEWAY_TIMEOUT)?;
    let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let stock = answer.json::<serde_json::Value>().await; // <- here
    stock
        .map(|stock| stock.to_string())
        .map_err(|_| StatusCode::BAD_GATEWAY)
}
