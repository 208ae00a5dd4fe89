//! A future that says "not yet" and keeps no waker: what it waits for comes true, and nobody tells it.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

pub(super) fn case() -> Case {
    Case {
        code: "E7",
        title: "a future that keeps no waker",
        source: include_str!("no_waker.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::LostWakeup],
            function: Some("no_waker::ready"),
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

async fn ready() -> &'static str {
    let state = Arc::new(AtomicBool::new(false));
    let setter = state.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        setter.store(true, Ordering::Release);
    });
    poll_fn(|_| {
        if state.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await; // <- here
    "ready"
}
