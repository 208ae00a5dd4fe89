//! Two slots for everybody, and two slow clients that have them: who comes third is not served.

use crate::{Case, Ground, Needs, Part, Play, Truth};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use redhanded::report::Class;
use tower::limit::GlobalConcurrencyLimitLayer;

pub(super) fn case() -> Case {
    Case {
        code: "G6",
        title: "slots that slow clients hold",
        source: include_str!("slow_clients.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::ClientStalled],
            // A limit is a pool of permits to one, a semaphore to another
            victims: &[Class::PoolWait, Class::StuckAwait],
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new()
        .route("/upload/{id}", post(upload))
        .route("/price", get(async || "7"))
        .layer(GlobalConcurrencyLimitLayer::new(2))
}

fn play(play: &mut Play) {
    for target in ["/upload/1", "/upload/2"] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: shop.example:8080\r\ncontent-length: 1000\r\n\r\n1"
        );
        play.raw(Part::Bystander, target, head.as_bytes());
    }
    play.wait(play.slow_after() / 5);
    play.victim("/price");
}

async fn upload(body: Bytes) -> String {
    format!("{} bytes", body.len())
}
