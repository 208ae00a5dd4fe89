//! Notices and their authors: the healthy part of the site.

use crate::database::Query;
use crate::site::{Site, unavailable};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use std::fmt::Write;
use std::sync::Arc;

/// Who writes here. Notice `n` is by author `n` modulo their number.
pub(crate) const AUTHORS: [&str; 16] = [
    "ada", "barbara", "carol", "dorothy", "edsger", "frances", "grace", "hedy", "ida", "jean",
    "karen", "lynn", "margaret", "niklaus", "ole", "radia",
];

/// Notices have the ids 0 to this, without it.
pub(crate) const NOTICES: u64 = 400;

/// How many are shown at once.
pub(crate) const PAGE: usize = 20;

const WORDS: [&str; 24] = [
    "rust", "async", "tokio", "axum", "tower", "borrow", "checker", "morning", "coffee", "notice",
    "server", "deploy", "night", "cache", "queue", "latency", "graph", "socket", "thread", "waker",
    "future", "poll", "stack", "trace",
];

#[derive(Clone)]
pub(crate) struct Notice {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) text: String,
}

/// All that were ever written here, the oldest first.
pub(crate) fn generate() -> Vec<Notice> {
    let word = |n: u64| WORDS[(n % WORDS.len() as u64) as usize];
    let notice = |id: u64| Notice {
        id,
        author: author_of(id).to_owned(),
        text: (0..9)
            .map(|n| word(id * 7 + n * n * 5 + n))
            .collect::<Vec<_>>()
            .join(" "),
    };
    (0..NOTICES).map(notice).collect()
}

pub(crate) fn author_of(id: u64) -> &'static str {
    AUTHORS[(id % AUTHORS.len() as u64) as usize]
}

/// `GET /`
pub(crate) async fn home(State(site): State<Arc<Site>>) -> Result<Html<String>, StatusCode> {
    cached(&site, "identica", Query::Newest).await
}

/// `GET /notice/{id}`
pub(crate) async fn notice(
    State(site): State<Arc<Site>>,
    Path(id): Path<u64>,
) -> Result<Html<String>, StatusCode> {
    let notice = one(&site, id).await?;
    Ok(Html(page("notice", &[notice])))
}

/// `GET /users/{name}`
pub(crate) async fn user(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Html<String>, StatusCode> {
    let author = AUTHORS
        .into_iter()
        .find(|author| *author == name)
        .ok_or(StatusCode::NOT_FOUND)?;
    cached(&site, author, Query::By(author)).await
}

/// The notice with this id.
pub(crate) async fn one(site: &Site, id: u64) -> Result<Notice, StatusCode> {
    let found = site.database.ask(Query::One(id)).await;
    found
        .map_err(unavailable)?
        .pop()
        .ok_or(StatusCode::NOT_FOUND)
}

/// A page from the cache, or made of what the database has and put there.
async fn cached(site: &Site, title: &str, query: Query<'_>) -> Result<Html<String>, StatusCode> {
    let key = format!("identica:page:{title}");
    // A cache that fails costs time and not the page.
    if let Ok(Some(page)) = site.cache.get(&key).await {
        return Ok(Html(page));
    }
    let page = page(title, &site.database.ask(query).await.map_err(unavailable)?);
    let _ = site.cache.set(&key, &page).await;
    Ok(Html(page))
}

/// Only words of ours come in here, so nothing has to be escaped.
pub(crate) fn page(title: &str, notices: &[Notice]) -> String {
    let mut page = format!("<!doctype html><title>{title}</title><h1>{title}</h1><ul>");
    for Notice { id, author, text } in notices {
        // Writing into a string cannot fail.
        let _ = write!(
            page,
            "<li><a href=/notice/{id}>{id}</a> <a href=/users/{author}>{author}</a>: {text}"
        );
    }
    page.push_str("</ul>");
    page
}
