//! The guard of a thread's lock kept across an await: whoever holds it sleeps, and the workers that
//! would wake it stand in `lock`.

use crate::{Case, Ground, Needs, Part, Play, Truth};
use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use redhanded::report::Class;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "C1",
        title: "the guard of a blocking lock kept across an await",
        source: include_str!("guard_across_await.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("guard_across_await::count"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let counter = Arc::new(Mutex::new(0));
    Router::new().route("/count", get(move || count(counter.clone())))
}

/// One sleeps with the guard, and one more for every worker waits for it.
fn play(play: &mut Play) {
    for id in 0..=play.workers().max(1) {
        play.get(Part::Either, &format!("/count?id={id}"));
    }
}

#[expect(clippy::await_holding_lock, reason = "it is the cause")]
async fn count(counter: Arc<Mutex<u64>>) -> String {
    let mut guard = counter.lock(); // <- here
    sleep(Duration::from_millis(700)).await; // <- here
    *guard += 1;
    guard.to_string()
}
