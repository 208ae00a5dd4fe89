//! A log on standard output, which is a pipe that nobody reads any more: whoever fills it blocks
//! with the lock of standard output, and all others that log behind it.

use crate::{Case, Ground, Needs, Play, Stdout, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::time::Duration;

pub(super) fn case() -> Case {
    Case {
        code: "C6",
        title: "a full pipe on standard output",
        source: include_str!("stdout_unread.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("stdout_unread::log"),
            ..Truth::default()
        },
        needs: Needs {
            stdout: Stdout::Unread,
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/order", get(order))
}

/// A pipe takes 64 KiB: three requests find room, the fourth does not.
fn play(play: &mut Play) {
    for id in 0..3 {
        let sent = play.innocent(&format!("/order?id={id}"));
        sent.is_answered(Duration::from_secs(5));
    }
    play.culprit("/order?id=full");
    play.wait(Duration::from_millis(200));
    for id in 1..play.workers().max(1) {
        play.victim(&format!("/order?id=behind-{id}"));
    }
}

async fn order() -> &'static str {
    for step in 0..100 {
        log(&format!("step {step}: {}", "x".repeat(190)));
    }
    "ordered"
}

#[expect(clippy::print_stdout, reason = "it is the cause")]
fn log(what: &str) {
    println!("{what}"); // <- here
}
