//! As many at once as there are, which for an empty list is none: `buffer_unordered(0)` does not even look whether
//! there is anything to do.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use redhanded::report::Class;
use std::collections::HashMap;

pub(super) fn case() -> Case {
    Case {
        code: "E6",
        title: "no more than zero futures at once",
        source: include_str!("zero_at_once.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::LostWakeup],
            function: Some("zero_at_once::batch"),
            param: Some(("ids", "")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/batch", get(batch))
}

fn play(play: &mut Play) {
    play.innocent("/batch?ids=1,2,3");
    play.culprit("/batch?ids=");
}

async fn batch(Query(query): Query<HashMap<String, String>>) -> String {
    let ids = query.get("ids").map_or("", String::as_str);
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    let at_once = ids.len();
    let names: Vec<String> = stream::iter(ids)
        .map(name)
        .buffer_unordered(at_once)
        .collect()
        .await; // <- here
    names.join("\n")
}

async fn name(id: &str) -> String {
    tokio::task::yield_now().await;
    format!("customer {id}")
}
