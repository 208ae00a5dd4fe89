//! A host that accepts and never says a word, and a client that has no time-out because nobody gave it one.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;

pub(super) fn case() -> Case {
    Case {
        code: "F1",
        title: "a host that accepts and never answers",
        source: include_str!("silent.rs"),
        file: file!(),
        app: |_| app(reqwest::Client::new()),
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            function: Some("silent::fetch"),
            peer: Some("peer"),
            param: Some(("url", "http://127.0.0.1:")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The same with a client whose calls are watched.
pub(super) fn watched() -> Case {
    Case {
        code: "F1b",
        title: "the same, called by a client that is watched",
        app: |ground: &Ground| app(ground.reqwest(reqwest::Client::builder())),
        ..case()
    }
}

fn app(client: reqwest::Client) -> Router {
    peers::silent("peer");
    Router::new().route("/fetch", get(fetch)).with_state(client)
}

fn play(play: &mut Play) {
    let peer = play.told("peer");
    play.culprit(&format!("/fetch?url=http://{peer}/"));
}

async fn fetch(
    State(client): State<reqwest::Client>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<String, StatusCode> {
    let url = query.get("url").map_or("", String::as_str);
    let answer = client.get(url).send().await; // <- here
    let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
    answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
}
