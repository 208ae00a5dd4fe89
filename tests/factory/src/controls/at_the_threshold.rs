//! A handler that ends just before it would be overdue, again and again.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N16",
        title: "a handler that ends just at the threshold",
        source: include_str!("at_the_threshold.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            slow_after: Some(SLOW_AFTER),
            idle_only: true,
            ..Needs::default()
        },
    }
}

const SLOW_AFTER: Duration = Duration::from_millis(500);

fn app(_: &Ground) -> Router {
    let race = async |Path((_, margin_ms)): Path<(u32, u64)>| {
        sleep(SLOW_AFTER - Duration::from_millis(margin_ms)).await;
    };
    Router::new().route("/race/{id}/{margin_ms}", get(race))
}

fn play(play: &mut Play) {
    for i in 0..100 {
        // A timer may be two milliseconds late, and a busy test machine some more
        play.innocent(&format!("/race/{i}/{}", 5 + i % 15));
        play.wait(SLOW_AFTER / 50);
    }
}
