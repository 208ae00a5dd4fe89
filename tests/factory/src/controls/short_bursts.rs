//! Bursts of CPU in one poll that end: one password's hash, and a pattern that backtracks until its
//! limit says no.

use crate::cases::hasher;
use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use fancy_regex::Regex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N18",
        title: "one hash, and a million backtracks that end in an error",
        source: include_str!("short_bursts.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            slow_after: Some(Duration::from_secs(3)),
            idle_only: true,
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    let hasher = Arc::new(hasher(Duration::from_millis(500)));
    let login = async move || {
        let mut hash = [0; 32];
        let hashed = hasher.hash_password_into(b"correct horse", b"0123456789abcdef", &mut hash);
        sleep(Duration::from_millis(500)).await;
        format!("{hashed:?}")
    };
    Router::new()
        .route("/login", get(login))
        .route("/check", get(check))
}

fn play(play: &mut Play) {
    play.innocent("/login");
    play.innocent(&format!("/check?q={}", "x".repeat(40)));
}

/// The limit is the default: a million.
async fn check() -> String {
    let pattern = Regex::new("(x+x+)+(?=y)").expect("a pattern");
    format!("{:?}", pattern.is_match(&"x".repeat(40)))
}
