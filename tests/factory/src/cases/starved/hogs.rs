//! A hog on every worker: requests that wait for something else are not polled any more, and new ones
//! are not even accepted.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "D5",
        title: "a hog on every worker",
        source: include_str!("hogs.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("hogs::total"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let mut table = String::new();
    for row in 0..100_000 {
        let _ = writeln!(table, "{row};12.50");
    }
    let table: Arc<str> = table.into();
    let quick = async || {
        sleep(Duration::from_millis(300)).await;
        "quick"
    };
    Router::new()
        .route("/total", get(async move || total(&table).to_string()))
        .route("/quick", get(quick))
}

fn play(play: &mut Play) {
    for id in 0..3 {
        play.victim(&format!("/quick?id={id}"));
    }
    play.wait(Duration::from_millis(100));
    for hog in 0..play.workers().max(1) {
        play.culprit(&format!("/total?hog={hog}"));
    }
    play.wait(Duration::from_millis(300));
    play.victim("/health");
}

/// Each row is looked for from the beginning.
fn total(table: &str) -> f64 {
    let rows = table.lines().count();
    let mut total = 0.0;
    for row in 0..rows {
        let line = table.lines().nth(row); // <- here
        let value = line.and_then(|line| line.split(';').nth(1)); // <- here
        total += value.and_then(|value| value.parse().ok()).unwrap_or(0.0); // <- here
    }
    total
}
