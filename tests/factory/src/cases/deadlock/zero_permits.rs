//! Zero was to mean "no limit", and a semaphore takes it at its word: no permits, and nobody who has one.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use std::sync::Arc;
use tokio::sync::Semaphore;

pub(super) fn case() -> Case {
    Case {
        code: "E6b",
        title: "a semaphore without permits",
        source: include_str!("zero_permits.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            // A semaphore is a lock to one, a pool of permits to another
            classes: &[Class::StuckAwait, Class::PoolWait],
            function: Some("zero_permits::quote"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The default of a setting that nobody set.
const LIMIT: usize = 0;

fn app(_: &Ground) -> Router {
    Router::new()
        .route("/quote", get(quote))
        .with_state(Arc::new(Semaphore::new(LIMIT)))
}

fn play(play: &mut Play) {
    play.culprit("/quote");
}

async fn quote(State(limit): State<Arc<Semaphore>>) -> String {
    let permit = limit.acquire().await; // <- here
    format!("a quote, {}", permit.is_ok())
}
