//! A reference into a DashMap kept across an await: it is the guard of a shard.

use crate::{Case, Ground, Needs, Part, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use dashmap::DashMap;
use redhanded::report::Class;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

type Visits = Arc<DashMap<String, u64>>;

pub(super) fn case() -> Case {
    Case {
        code: "C2",
        title: "a reference into a DashMap kept across an await",
        source: include_str!("map_ref_across_await.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("map_ref_across_await::visit"),
            param: Some(("page", "front")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let visits: Visits = Arc::default();
    Router::new().route("/visit", get(move |query| visit(visits.clone(), query)))
}

/// One sleeps with its reference, and one more for every worker waits for the shard.
fn play(play: &mut Play) {
    for id in 0..=play.workers().max(1) {
        play.get(Part::Either, &format!("/visit?page=front&id={id}"));
    }
}

async fn visit(visits: Visits, Query(query): Query<HashMap<String, String>>) -> String {
    let page = query.get("page").cloned().unwrap_or_default();
    let mut seen = visits.entry(page).or_default(); // <- here
    sleep(Duration::from_millis(700)).await; // <- here
    *seen += 1;
    seen.to_string()
}
