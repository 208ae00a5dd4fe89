//! Closures of the blocking pool that wait for closures of the blocking pool: when all threads do,
//! none is left for what they wait for.

use crate::{Case, Needs, Part, Play, Truth};
use axum::Router;
use axum::routing::{MethodRouter, get};
use redhanded::report::Class;
use std::time::Duration;
use tokio::runtime::Handle;

pub(super) fn case() -> Case {
    Case {
        code: "D1",
        title: "closures of the blocking pool that wait for its threads",
        source: include_str!("nested_blocking.rs"),
        file: file!(),
        app: |_| app(get(export), get(thumbnail)),
        play,
        truth: Truth {
            // Their threads sleep, and what they sleep for is a thread of the pool that they fill
            classes: &[Class::BlockedThread, Class::PoolWait],
            function: Some("nested_blocking::rendered"),
            ..Truth::default()
        },
        needs: Needs {
            blocking_threads: Some(4),
            ..Needs::default()
        },
    }
}

/// Tokio's own `spawn_blocking`: nobody watches the closures.
pub(super) fn case_of_tokio() -> Case {
    Case {
        code: "D1b",
        title: "the same by tokio's own spawn_blocking",
        app: |_| app(get(export_unwatched), get(thumbnail_unwatched)),
        truth: Truth {
            // What can be seen is that they wait for their closures
            classes: &[Class::StuckAwait, Class::PoolWait],
            function: Some("nested_blocking::export_unwatched"),
            ..Truth::default()
        },
        ..case()
    }
}

fn app(export: MethodRouter, thumbnail: MethodRouter) -> Router {
    Router::new()
        .route("/export", export)
        .route("/thumbnail", thumbnail)
}

fn play(play: &mut Play) {
    for id in 0..4 {
        play.get(Part::Either, &format!("/export?id={id}"));
    }
    play.wait(Duration::from_millis(400));
    play.victim("/thumbnail");
}

async fn export() -> String {
    let rendering = redhanded::spawn_blocking("render", rendered);
    rendering.await.expect("no panic")
}

async fn export_unwatched() -> String {
    let rendering = tokio::task::spawn_blocking(rendered);
    rendering.await.expect("no panic") // <- here
}

async fn thumbnail() -> &'static str {
    let making = redhanded::spawn_blocking("thumbnail", || "thumbnail");
    making.await.expect("no panic")
}

async fn thumbnail_unwatched() -> &'static str {
    let making = tokio::task::spawn_blocking(|| "thumbnail");
    making.await.expect("no panic")
}

fn rendered() -> String {
    // The other three are as far as this one
    std::thread::sleep(Duration::from_millis(200));
    let page = redhanded::spawn_blocking("page", || "page".to_owned());
    Handle::current().block_on(page).expect("no panic") // <- here
}
