//! A second connection of the pool while the first is in hand: each of two requests has one, and waits for the other's.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth, tell};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "G2",
        title: "a second connection while the first is in hand",
        source: include_str!("nested.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::PoolWait],
            function: Some("nested::customer"),
            // The pool gives up after thirty seconds
            hang: Hang::Late,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .connect_lazy("sqlite::memory:");
    Router::new()
        .route("/order/{id}", get(order))
        .with_state(pool.expect("a URL"))
}

fn play(play: &mut Play) {
    play.get(Part::Either, "/order/1");
    play.told("first");
    play.get(Part::Either, "/order/2");
}

async fn order(State(pool): State<SqlitePool>) -> String {
    let held = pool.acquire().await;
    tell("first", held.is_ok());
    // A query, and something to think about
    sleep(Duration::from_millis(200)).await;
    let customer = customer(&pool).await; // <- here
    format!("order of {customer}, {}", held.is_ok())
}

async fn customer(pool: &SqlitePool) -> String {
    let second = pool.acquire().await; // <- here
    format!("customer {}", second.is_ok())
}
