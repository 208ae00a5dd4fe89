//! Work that goes on though its client has gone: it was spawned so that it would.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N20",
        title: "spawned work that outlives its client",
        source: include_str!("goes_on.rs"),
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

fn app(_: &Ground) -> Router {
    Router::new()
        .route(
            "/order/tokio",
            get(async || tokio::spawn(settle()).await.is_ok().to_string()),
        )
        .route(
            "/order/child",
            get(async || redhanded::spawn(settle()).await.is_ok().to_string()),
        )
        .route(
            "/order/later",
            get(async || drop(redhanded::spawn(settle()))),
        )
}

fn play(play: &mut Play) {
    for target in ["/order/tokio", "/order/child"] {
        let asked = play.innocent(target).asked();
        std::thread::sleep(Duration::from_millis(100));
        asked.hang_up();
    }
    play.innocent("/order/later");
}

/// Takes longer than any threshold here, and is in no hurry.
async fn settle() {
    for _ in 0..20 {
        sleep(Duration::from_millis(100)).await;
    }
}
