//! Futures that stay pending.

use crate::blocked::DAY;
use axum::extract::Query;
use axum::routing::{MethodRouter, any};
use redhanded::SlowAfterLayer;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

const MS: fn(u64) -> Duration = Duration::from_millis;

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "mutex" => any(mutex),
        "channel" => any(channel),
        "sleep" | "export" => any(sleep_for_ever),
        "sleep_patient" => any(sleep_for_ever).layer::<_, Infallible>(SlowAfterLayer::new(DAY)),
        "sleep_impatient" => {
            any(sleep_for_ever).layer::<_, Infallible>(SlowAfterLayer::new(MS(200)))
        }
        "select" => any(select),
        "timeout" => any(timeout_around),
        "join" => any(join),
        "semaphore" => any(semaphore),
        "no_waker" => any(no_waker),
        "late" => any(async || sleep(MS(1000)).await),
        "nap" => any(nap),
        "panic" => any(panic),
        "shop" => any(shop),
        "secrets" | "reset" => any(channel),
        _ => return None,
    })
}

/// A lock that somebody has taken into his grave.
async fn mutex() {
    static LOCK: LazyLock<Mutex<()>> = LazyLock::new(|| {
        let lock = Mutex::new(());
        std::mem::forget(lock.try_lock());
        lock
    });
    crate::stalls_in_the_next_lines!(1);
    drop(LOCK.lock().await);
}

async fn channel() {
    let (_never_used, answer) = oneshot::channel::<()>();
    crate::stalls_in_the_next_lines!(1);
    let _ = answer.await;
}

/// A search that nobody answers if it is to be sorted by price, or is for a long word.
async fn shop(Query(params): Query<HashMap<String, String>>) -> &'static str {
    let sort = params.get("sort").map_or("", String::as_str);
    let word = params.get("q").map_or("", String::as_str);
    if sort == "price" {
        unanswered().await;
    } else if word.len() >= 30 {
        too_long().await;
    }
    "found"
}

#[inline(never)]
async fn unanswered() {
    let (_never_used, answer) = oneshot::channel::<()>();
    let _ = answer.await;
}

#[inline(never)]
async fn too_long() {
    sleep(DAY).await;
}

async fn sleep_for_ever() {
    crate::stalls_in_the_next_lines!(1);
    sleep(DAY).await;
}

async fn select() {
    let (_never_used, mut orders) = mpsc::channel::<()>(1);
    crate::stalls_in_the_next_lines!(5);
    let order = async { orders.recv().await };
    tokio::select! {
        _ = order => {}
        () = sleep(DAY) => {}
    }
}

async fn timeout_around() {
    let (_never_used, answer) = oneshot::channel::<()>();
    crate::stalls_in_the_next_lines!(1);
    let _ = timeout(DAY, answer).await;
}

async fn join() {
    let child = tokio::spawn(sleep(DAY));
    crate::stalls_in_the_next_lines!(1);
    let _ = child.await;
}

async fn semaphore() {
    let permits = Semaphore::new(0);
    crate::stalls_in_the_next_lines!(1);
    drop(permits.acquire().await);
}

/// Says "not yet" and takes no notice of who wants to be called.
async fn no_waker() {
    crate::stalls_in_the_next_lines!(1);
    poll_fn(|_| Poll::<()>::Pending).await;
}

async fn nap() -> &'static str {
    for _ in 0..3 {
        sleep(MS(100)).await;
    }
    "rested"
}

async fn panic() {
    sleep(MS(800)).await;
    panic!("on purpose, with password=hunter2");
}
