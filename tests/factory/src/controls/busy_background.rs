//! A background task that polls for its device all the time, by design, and requests beside it.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N12",
        title: "a background task that polls all the time by design",
        source: include_str!("busy_background.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            alone: true,
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    static TICKS: AtomicU64 = AtomicU64::new(0);
    tokio::spawn(async {
        loop {
            TICKS.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    let quote = async || {
        sleep(Duration::from_millis(100)).await;
        TICKS.load(Ordering::Relaxed).to_string()
    };
    // The stream that a request opened goes on without it
    let subscribe = async || {
        tokio::spawn(async {
            loop {
                yield_now().await;
            }
        });
        "subscribed"
    };
    Router::new()
        .route("/quote", get(quote))
        .route("/subscribe", get(subscribe))
}

fn play(play: &mut Play) {
    play.innocent("/subscribe");
    for id in 0..20 {
        play.innocent(&format!("/quote?id={id}"));
        play.wait(Duration::from_millis(100));
    }
}
