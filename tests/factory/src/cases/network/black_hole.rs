//! An address that swallows packets, given by the user: the connect hangs until the kernel gives up, two minutes later.

use crate::{Case, Ground, Needs, Part, Play, Truth, peers};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use redhanded::report::Class;
use serde::Deserialize;

pub(super) fn case() -> Case {
    Case {
        code: "F2",
        title: "an address that swallows packets",
        source: include_str!("black_hole.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::UnreachableHost],
            function: Some("black_hole::preview"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    peers::black_hole("peer");
    Router::new()
        .route("/preview", post(preview))
        .with_state(reqwest::Client::new())
}

fn play(play: &mut Play) {
    let body = format!(r#"{{"url":"http://{}/"}}"#, play.told("peer"));
    let headers = [("content-type", "application/json")];
    play.send(Part::Culprit, "POST", "/preview", &headers, body.as_bytes());
}

#[derive(Deserialize)]
struct Link {
    url: String,
}

async fn preview(
    State(client): State<reqwest::Client>,
    Json(link): Json<Link>,
) -> Result<String, StatusCode> {
    let page = client.get(&link.url).send().await; // <- here
    let page = page.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(format!("{} says {}", link.url, page.status()))
}
