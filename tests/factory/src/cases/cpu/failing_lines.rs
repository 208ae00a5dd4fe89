//! Lines of a file, those that cannot be read left out: of a directory, none can be read, for ever.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

pub(super) fn case() -> Case {
    Case {
        code: "A6",
        title: "lines of a path whose every read fails",
        source: include_str!("failing_lines.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("failing_lines::show_file"),
            param: Some(("name", ".")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/file", get(show_file))
}

fn play(play: &mut Play) {
    play.culprit("/file?name=.");
}

#[expect(clippy::lines_filter_map_ok, reason = "it is the cause")]
async fn show_file(Query(query): Query<HashMap<String, String>>) -> String {
    let name = query.get("name").map_or("", String::as_str);
    let Ok(file) = File::open(name) else {
        return "no such file".to_owned();
    };
    let lines = BufReader::new(file).lines().filter_map(Result::ok);
    lines.collect() // <- here
}
