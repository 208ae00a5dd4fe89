//! Futurelock: `select!` has lost interest in a future that stands in a lock's queue, and the branch that it took
//! stands behind it. The lock is handed to the one that nobody polls.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "E1",
        title: "a lock that is granted to a future that nobody polls",
        source: include_str!("futurelock.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::Undriven],
            function: Some("futurelock::work"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/update", get(update))
}

fn play(play: &mut Play) {
    play.culprit("/update");
}

async fn update() -> &'static str {
    let lock = Arc::new(Mutex::new(0));
    hold_in_the_background(lock.clone()).await;
    let mut first = Box::pin(work(lock.clone()));
    tokio::select! {
        () = &mut first => {}
        () = sleep(Duration::from_millis(50)) => work(lock).await, // <- here
    }
    "updated"
}

/// Returns when the lock is taken.
async fn hold_in_the_background(lock: Arc<Mutex<u32>>) {
    let guard = lock.lock_owned().await;
    tokio::spawn(async move {
        sleep(Duration::from_millis(200)).await;
        drop(guard);
    });
}

async fn work(lock: Arc<Mutex<u32>>) {
    *lock.lock().await += 1; // <- here
}
