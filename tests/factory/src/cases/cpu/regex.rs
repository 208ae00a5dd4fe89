//! A pattern that backtracks: look-around forces the backtracking machine, nested quantifiers make it exponential.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use fancy_regex::{Regex, RegexBuilder};
use redhanded::report::Class;
use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) fn case() -> Case {
    Case {
        code: "A1",
        title: "a regular expression that backtracks for ever",
        source: include_str!("regex.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("regex::check"),
            param: Some(("q", "xxxx")),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/check", get(check))
}

fn play(play: &mut Play) {
    play.culprit(&format!("/check?q={}", "x".repeat(40)));
}

async fn check(Query(query): Query<HashMap<String, String>>) -> String {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = RegexBuilder::new("(x+x+)+(?=y)")
            .backtrack_limit(usize::MAX)
            .build();
        pattern.expect("a pattern")
    });
    let q = query.get("q").map_or("", String::as_str);
    let found = PATTERN.is_match(q); // <- here
    format!("{found:?}")
}
