//! A child process whose end is waited for on a worker.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;
use std::process::Command;

pub(super) fn case() -> Case {
    Case {
        code: "C7",
        title: "the output of a child process waited for on a worker",
        source: include_str!("child_output.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::BlockedThread],
            function: Some("child_output::crontab"),
            param: Some(("seconds", "60")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/crontab", get(crontab))
}

fn play(play: &mut Play) {
    play.culprit("/crontab?seconds=60");
}

async fn crontab(Query(query): Query<HashMap<String, String>>) -> String {
    let seconds = query.get("seconds").map_or("0", String::as_str);
    let output = Command::new("sleep").arg(seconds).output(); // <- here
    format!("{output:?}")
}
