//! Search: an expression that needs exponential time to find out that a text does not match.

use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::sync::LazyLock;

/// Words, and no operator at the end: nested quantifiers and a look-behind.
static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"^(?:\w+ ?)+(?<! OR)$";
    RegexBuilder::new(pattern)
        .backtrack_limit(usize::MAX)
        .build()
        .ok()
});

pub(crate) fn routes() -> Router {
    Router::new().route("/search", get(search))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn search(Query(search): Query<Search>) -> String {
    if matches(&search.q) {
        format!("results for {}", search.q)
    } else {
        "no search".to_owned()
    }
}

fn matches(text: &str) -> bool {
    let Some(words) = &*WORDS else { return false };
    words.is_match(text).unwrap_or(false) // here: the search
}
