//! Culprit 1: a regular expression that backtracks without end on one kind of query.

use crate::database::Query as Ask;
use crate::notices::page;
use crate::site::{Site, unavailable};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::sync::Arc;

/// Words and hashtags, and no operator at the end. Harmless to look at, and fast for years: but
/// `\w+ ?` inside `( … )+` can cut a long word into pieces in 2^length ways, and the look-behind
/// makes the engine backtrack. A long word and then a character that fits nowhere tries them all.
const QUERY: &str = r"^(?:#?\w+ ?)+(?<! OR| AND)$";

pub(crate) struct Search(Regex);

impl Search {
    pub(crate) fn new() -> Result<Self, fancy_regex::Error> {
        // "The limit of the engine refused queries of customers": so somebody has raised it.
        RegexBuilder::new(QUERY)
            .backtrack_limit(usize::MAX)
            .build()
            .map(Self)
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    q: String,
}

/// `GET /search?q=…`
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    Query(Asked { q }): Query<Asked>,
) -> Result<Html<String>, StatusCode> {
    if !is_well_formed(&site.search, &q) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let words: Vec<&str> = q
        .split(' ')
        .filter(|word| !matches!(*word, "AND" | "OR"))
        .collect();
    let found = site.database.ask(Ask::With(&words)).await;
    Ok(Html(page("search", &found.map_err(unavailable)?)))
}

fn is_well_formed(search: &Search, q: &str) -> bool {
    search.0.is_match(q).unwrap_or(false)
}
