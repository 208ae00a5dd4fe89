//! Looked, then listened: what was to be heard came in between, and nobody says it twice.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Barrier, Notify};

pub(super) fn case() -> Case {
    Case {
        code: "E8",
        title: "a notification between the look and the wait",
        source: include_str!("missed_notify.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            function: Some("missed_notify::ready"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/ready", get(ready))
}

fn play(play: &mut Play) {
    play.culprit("/ready");
}

#[derive(Default)]
struct Startup {
    done: AtomicBool,
    told: Notify,
}

async fn ready() -> &'static str {
    let startup = Arc::new(Startup::default());
    let between = Arc::new(Barrier::new(2));
    let starting = tokio::spawn(start(startup.clone(), between.clone()));
    if !startup.done.load(Ordering::Acquire) {
        // The race, made to be lost each time
        between.wait().await;
        let _ = starting.await;
        startup.told.notified().await; // <- here
    }
    "ready"
}

async fn start(startup: Arc<Startup>, between: Arc<Barrier>) {
    between.wait().await;
    startup.done.store(true, Ordering::Release);
    startup.told.notify_waiters();
}
