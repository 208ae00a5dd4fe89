//! A big upload from a slow client: it takes longer than the threshold, and never stops for as long as that.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth};
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

pub(super) fn case() -> Case {
    Case {
        code: "N3",
        title: "a slow upload that moves",
        source: include_str!("slow_upload.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

const PARTS: usize = 20;
const PART: &[u8] = &[b'7'; 1000];

fn app(_: &Ground) -> Router {
    let upload = async |body: Bytes| format!("{} bytes", body.len());
    Router::new().route("/upload", post(upload))
}

fn play(play: &mut Play) {
    let beat = play.slow_after() / 5;
    let length = PARTS * PART.len();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: {length}\r\n\r\n"
    );
    let upload = play.raw(Part::Innocent, "/upload", head.as_bytes()).asked();
    for _ in 0..PARTS {
        std::thread::sleep(beat);
        upload.send_more(PART).expect("the server reads");
    }
}
