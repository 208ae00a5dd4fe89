//! A cache that was emptied, and everybody who wants the page renders it.

use crate::{Case, Ground, Hang, Needs, Part, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Cache = Arc<Mutex<HashMap<String, String>>>;

pub(super) fn case() -> Case {
    Case {
        code: "F14",
        title: "a stampede on a page that fell out of the cache",
        source: include_str!("stampede.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("stampede::render"),
            param: Some(("page", "front")),
            hang: Hang::Late,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let cache = Cache::default();
    Router::new().route("/page", get(move |query| page(cache.clone(), query)))
}

fn play(play: &mut Play) {
    for id in 0..20 {
        play.get(Part::Either, &format!("/page?page=front&id={id}"));
    }
    play.wait(Duration::from_millis(100));
    play.victim("/health");
}

async fn page(cache: Cache, Query(query): Query<HashMap<String, String>>) -> String {
    let page = query.get("page").cloned().unwrap_or_default();
    if let Some(known) = locked(&cache).get(&page) {
        return known.clone();
    }
    // The rows of the page
    tokio::time::sleep(Duration::from_millis(20)).await;
    let rendered = render(&page);
    locked(&cache).insert(page, rendered.clone());
    rendered
}

/// Two seconds of work, however fast the machine is.
fn render(page: &str) -> String {
    let begun = Instant::now();
    let mut digest = 0_u64;
    loop {
        let took = begun.elapsed(); // <- here
        if took > Duration::from_secs(2) {
            return format!("{page} {digest}");
        }
        digest = page.bytes().fold(digest, mix); // <- here
    }
}

fn mix(digest: u64, byte: u8) -> u64 {
    digest.rotate_left(5) ^ u64::from(byte)
}

fn locked(cache: &Cache) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
