//! Background tasks that wait for ever by design: a consumer of an empty queue, the one that is not
//! the leader, a limiter's queue; and what requests left behind on purpose.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc};
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N13",
        title: "background tasks that wait for ever by design",
        source: include_str!("idle_background.rs"),
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

fn app(_: &Ground) -> Router {
    let (queue, mut jobs) = mpsc::channel::<u32>(8);
    tokio::spawn(async move { while jobs.recv().await.is_some() {} });
    let leader = Arc::new(Mutex::new(()));
    for _ in 0..2 {
        let leader = leader.clone();
        tokio::spawn(async move {
            let _leads = leader.lock().await;
            pending::<()>().await;
        });
    }
    tokio::spawn(async { drop(Semaphore::new(0).acquire().await) });
    let order = move || {
        let queue = queue.clone();
        async move {
            sleep(Duration::from_millis(50)).await;
            let queued = queue.send(1).await;
            format!("{queued:?}")
        }
    };
    Router::new()
        .route("/order", get(order))
        .route("/watch", get(watch))
}

fn play(play: &mut Play) {
    play.innocent("/watch?by=tokio");
    for id in 0..10 {
        play.innocent(&format!("/order?id={id}"));
    }
}

/// Leaves two behind that wait for what may never come; one of them is known to be the request's.
async fn watch() -> &'static str {
    tokio::spawn(async { Notify::new().notified().await });
    drop(redhanded::spawn(async {
        Notify::new().notified().await;
    }));
    "watching"
}
