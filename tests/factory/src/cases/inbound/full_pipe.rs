//! A child that cannot write: its output goes into a pipe that nobody reads, since whoever made it waits for its end.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::process::Stdio;
use tokio::process::Command;

pub(super) fn case() -> Case {
    Case {
        code: "H3",
        title: "a child blocked on its full output pipe",
        source: include_str!("full_pipe.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            function: Some("full_pipe::convert"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/convert", get(convert))
}

fn play(play: &mut Play) {
    play.culprit("/convert");
}

async fn convert() -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "head -c 200000 /dev/zero"]);
    let child = command.stdout(Stdio::piped()).spawn();
    let status = child.expect("a shell").wait().await; // <- here
    format!("{status:?}")
}
