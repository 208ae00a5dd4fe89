//! An upgradable lock that waits for its readers while new readers wait for it: in a picture of who
//! waits for whom it is near a circle, and it moves.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use parking_lot::{RwLock, RwLockUpgradableReadGuard};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use tokio::task::spawn_blocking;

type Prices = Arc<RwLock<u64>>;

pub(super) fn case() -> Case {
    Case {
        code: "N15",
        title: "a lock that is upgraded while others read",
        source: include_str!("lock_upgrade.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            slow_after: Some(Duration::from_secs(1)),
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    let prices = Prices::default();
    let read = prices.clone();
    Router::new()
        .route("/read", get(move || on_a_thread(read.clone(), reading)))
        .route("/update", get(move || update(prices.clone())))
}

fn play(play: &mut Play) {
    for id in 0..3 {
        play.innocent(&format!("/read?id={id}"));
    }
    play.wait(Duration::from_millis(50));
    play.innocent("/update?id=1");
    play.innocent("/update?id=2");
    for id in 3..6 {
        play.innocent(&format!("/read?id={id}"));
        play.wait(Duration::from_millis(20));
    }
}

async fn on_a_thread(prices: Prices, what: fn(&Prices) -> u64) -> String {
    let done = spawn_blocking(move || what(&prices)).await;
    done.expect("no panic").to_string()
}

/// On its worker: it is short.
async fn update(prices: Prices) -> String {
    updating(&prices).to_string()
}

fn reading(prices: &Prices) -> u64 {
    let guard = prices.read();
    sleep(Duration::from_millis(300));
    *guard
}

fn updating(prices: &Prices) -> u64 {
    let known = prices.upgradable_read();
    sleep(Duration::from_millis(50));
    let mut guard = RwLockUpgradableReadGuard::upgrade(known);
    *guard += 1;
    *guard
}
