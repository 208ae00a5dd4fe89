//! Work that is allowed to take long, and says so: an export with a threshold of its own, a long
//! poll, an import that tells that it moves.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N10",
        title: "an export, a long poll and an import that are announced",
        source: include_str!("long_work.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            install: Some(|builder| {
                builder
                    .route("/export", redhanded::slow_after(Duration::from_secs(60)))
                    .route(
                        "/export-here",
                        redhanded::slow_after(Duration::from_secs(60)),
                    )
                    .route("/changes", redhanded::long_lived())
            }),
            watched_for: Some(Duration::from_secs(4)),
            alone: true,
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    Router::new()
        .route("/export", get(export))
        .route("/export-here", get(async || work(Duration::from_secs(2))))
        .route("/changes", get(changes))
        .route("/import", get(import))
        .route("/report", get(report))
}

fn play(play: &mut Play) {
    for path in ["/export", "/export-here", "/changes", "/import", "/report"] {
        play.innocent(path);
    }
}

/// Three seconds of work and of waiting.
async fn export() -> &'static str {
    for _ in 0..10 {
        work(Duration::from_millis(150));
        sleep(Duration::from_millis(150)).await;
    }
    "exported"
}

/// Nothing changes.
async fn changes() -> &'static str {
    Notify::new().notified().await;
    "changed"
}

/// Says after each row that it moves.
async fn import() -> &'static str {
    for _ in 0..60 {
        sleep(Duration::from_millis(50)).await;
        redhanded::current().progress();
    }
    "imported"
}

/// Knows when it begins that it takes long.
async fn report() -> &'static str {
    redhanded::current().set_slow_after(Duration::from_secs(60));
    for _ in 0..20 {
        work(Duration::from_millis(100));
        yield_now().await;
    }
    "reported"
}

fn work(duration: Duration) -> &'static str {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
    "worked"
}
