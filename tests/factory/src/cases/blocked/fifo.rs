//! A file that is read on a worker, and is a pipe that nobody writes to: `open` does not return.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::collections::HashMap;

pub(super) fn case() -> Case {
    Case {
        code: "C11",
        title: "a named pipe that nobody writes to, opened on a worker",
        source: include_str!("fifo.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("fifo::attachment"),
            param: Some(("name", "jobs.fifo")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The same by tokio, on a thread of the blocking pool.
pub(super) fn case_of_tokio() -> Case {
    Case {
        code: "C11b",
        title: "a named pipe that nobody writes to, opened by tokio::fs",
        play: |play| {
            play.culprit("/preview?name=jobs.fifo");
        },
        truth: Truth {
            // The request waits for its closure, and the closure's thread is blocked
            classes: &[Class::StuckAwait, Class::BlockedThread],
            function: Some("fifo::preview"),
            ..case().truth
        },
        ..case()
    }
}

fn app(_: &Ground) -> Router {
    let made = mknodat(CWD, "jobs.fifo", FileType::Fifo, Mode::RWXU, 0);
    made.expect("a directory of its own");
    Router::new()
        .route("/attachment", get(attachment))
        .route("/preview", get(preview))
}

fn play(play: &mut Play) {
    play.culprit("/attachment?name=jobs.fifo");
}

async fn attachment(Query(query): Query<HashMap<String, String>>) -> String {
    let name = query.get("name").map_or("", String::as_str);
    let bytes = std::fs::read(name); // <- here
    format!("{bytes:?}")
}

async fn preview(Query(query): Query<HashMap<String, String>>) -> String {
    let name = query.get("name").map_or("", String::as_str);
    let bytes = tokio::fs::read(name).await; // <- here
    format!("{bytes:?}")
}
