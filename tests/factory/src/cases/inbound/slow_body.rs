//! A client that has promised a thousand bytes and sends one now and then.

use crate::{Case, Ground, Needs, Part, Play, Truth};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use redhanded::report::Class;

pub(super) fn case() -> Case {
    Case {
        code: "H1",
        title: "a client that does not send its body",
        source: include_str!("slow_body.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::ClientStalled],
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/upload", post(upload))
}

fn play(play: &mut Play) {
    let head = b"POST /upload HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: 1000\r\n\r\n1";
    play.raw(Part::Bystander, "/upload", head);
}

async fn upload(body: Bytes) -> String {
    format!("{} bytes", body.len())
}
