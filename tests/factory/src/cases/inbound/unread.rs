//! A client that has stopped reading in the middle of an answer.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth, tell};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream;
use redhanded::report::Class;
use std::convert::Infallible;

pub(super) fn case() -> Case {
    Case {
        code: "H2",
        title: "a client that does not read its answer",
        source: include_str!("unread.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::ClientStalled],
            hang: Hang::Untold("taken"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// More than any kernel keeps for a client.
const CHUNKS: u32 = 1000;
const CHUNK: &[u8] = &[b'7'; 64 << 10];

fn app(_: &Ground) -> Router {
    Router::new().route("/archive", get(archive))
}

fn play(play: &mut Play) {
    play.get(Part::Bystander, "/archive");
}

async fn archive() -> Body {
    let chunks = stream::unfold(0, async |sent| {
        if sent == CHUNKS {
            tell("taken", sent);
            return None;
        }
        Some((Ok::<_, Infallible>(Bytes::from_static(CHUNK)), sent + 1))
    });
    Body::from_stream(chunks)
}
