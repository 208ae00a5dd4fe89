//! A wall clock that is set, forward and back, with requests in flight.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N7",
        title: "a clock that is set forward and back",
        source: include_str!("clock_step.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            clock: true,
            ..Needs::default()
        },
    }
}

const SHORT: Duration = Duration::from_millis(250);

fn app(_: &Ground) -> Router {
    let query = async |Path(_): Path<u32>| sleep(SHORT).await;
    Router::new().route("/query/{id}", get(query))
}

fn play(play: &mut Play) {
    for (i, clock) in ["+1d", "-1d", "+1h", "+0d"].iter().enumerate() {
        play.innocent(&format!("/query/{i}"));
        play.wait(SHORT / 5);
        play.set_clock(clock);
        play.wait(SHORT);
    }
}
