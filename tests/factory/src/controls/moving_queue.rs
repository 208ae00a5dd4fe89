//! A queue for a semaphore that moves: each has the permit shortly, and the last of them are late
//! because the queue is long.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N19",
        title: "a queue for a semaphore that moves",
        source: include_str!("moving_queue.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            watched_for: Some(Duration::from_secs(4)),
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    let renderers = Arc::new(Semaphore::new(2));
    let render = async move || {
        let permit = renderers.acquire().await;
        sleep(Duration::from_millis(150)).await;
        drop(permit);
        "rendered"
    };
    Router::new().route("/render", get(render))
}

/// Forty of them, two at a time, take three seconds.
fn play(play: &mut Play) {
    for id in 0..40 {
        play.innocent(&format!("/render?id={id}"));
    }
}
