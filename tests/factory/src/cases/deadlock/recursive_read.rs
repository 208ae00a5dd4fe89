//! A second read guard beside the first, with a writer in between: the lock is fair, so the second reader waits for the
//! writer, and the writer for the first.

use crate::{Case, Ground, Needs, Part, Play, Truth, tell};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, put};
use redhanded::report::Class;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "E3",
        title: "a read lock taken twice, with a writer in between",
        source: include_str!("recursive_read.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            victims: &[Class::StuckAwait],
            function: Some("recursive_read::report"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

type Settings = Arc<RwLock<String>>;

fn app(_: &Ground) -> Router {
    Router::new()
        .route("/report", get(report))
        .route("/settings", put(change))
        .route("/banner", get(banner))
        .with_state(Settings::default())
}

fn play(play: &mut Play) {
    play.culprit("/report");
    play.told("reading");
    play.send(Part::Victim, "PUT", "/settings", &[], b"dark");
    play.told("writing");
    play.victim("/banner");
}

async fn report(State(settings): State<Settings>) -> String {
    let first = settings.read().await;
    tell("reading", "settings");
    // A call to somebody else
    sleep(Duration::from_millis(400)).await;
    let second = settings.read().await; // <- here
    format!("{first} {second}")
}

async fn change(State(settings): State<Settings>, new: String) {
    tell("writing", "settings");
    *settings.write().await = new;
}

async fn banner(State(settings): State<Settings>) -> String {
    settings.read().await.clone()
}
