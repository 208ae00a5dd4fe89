//! A lock that nobody holds: its guard was forgotten, so that it is never given back.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use parking_lot::RwLock;
use redhanded::report::Class;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn case() -> Case {
    Case {
        code: "C12",
        title: "a lock whose guard was forgotten",
        source: include_str!("forgotten_guard.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("forgotten_guard::reload"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let settings = Arc::new(RwLock::new(0));
    std::mem::forget(settings.read());
    let read = settings.clone();
    Router::new()
        .route("/settings", get(async move || read.read().to_string()))
        .route("/reload", get(move || reload(settings.clone())))
}

fn play(play: &mut Play) {
    let read = play.innocent("/settings");
    read.is_answered(Duration::from_secs(5));
    play.culprit("/reload");
}

async fn reload(settings: Arc<RwLock<u64>>) -> String {
    let mut settings = settings.write(); // <- here
    *settings += 1;
    settings.to_string()
}
