//! A process that is stopped for longer than the threshold, with requests in flight that then go on.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N6",
        title: "a process that was stopped and goes on",
        source: include_str!("stopped.rs"),
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

const SHORT: Duration = Duration::from_millis(250);

fn app(_: &Ground) -> Router {
    let query = async |Path(_): Path<u32>| sleep(SHORT).await;
    Router::new().route("/query/{id}", get(query))
}

fn play(play: &mut Play) {
    for i in 0..20 {
        play.innocent(&format!("/query/{i}"));
        // Some are young when it is stopped, some are nearly done
        play.wait(SHORT / 25);
    }
    play.stall().signal(Signal::STOP);
    play.wait(3 * play.slow_after());
    play.stall().signal(Signal::CONT);
}
