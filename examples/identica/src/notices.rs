//! Notices and their authors: the healthy part of the site.

use crate::site::Site;
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

const WORDS: [&str; 24] = [
    "rust", "async", "tokio", "axum", "tower", "borrow", "checker", "morning", "coffee", "notice",
    "server", "deploy", "night", "cache", "queue", "latency", "graph", "socket", "thread", "waker",
    "future", "poll", "stack", "trace",
];

pub(crate) struct Notice {
    pub(crate) id: u64,
    pub(crate) author: &'static str,
    pub(crate) text: String,
}

pub(crate) struct Notices(Vec<Notice>);

impl Notices {
    pub(crate) fn generate() -> Self {
        let word = |n: u64| WORDS[(n % WORDS.len() as u64) as usize];
        let notice = |id: u64| Notice {
            id,
            author: author_of(id),
            text: (0..9)
                .map(|n| word(id * 7 + n * n * 5 + n))
                .collect::<Vec<_>>()
                .join(" "),
        };
        Self((0..NOTICES).map(notice).collect())
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Notice> {
        self.0.get(usize::try_from(id).ok()?)
    }

    pub(crate) fn newest(&self) -> impl Iterator<Item = &Notice> {
        self.0.iter().rev()
    }
}

pub(crate) fn author_of(id: u64) -> &'static str {
    AUTHORS[(id % AUTHORS.len() as u64) as usize]
}

/// `GET /`
pub(crate) async fn home(State(site): State<Arc<Site>>) -> Html<String> {
    Html(page("identica", site.notices.newest().take(20)))
}

/// `GET /notice/{id}`
pub(crate) async fn notice(
    State(site): State<Arc<Site>>,
    Path(id): Path<u64>,
) -> Result<Html<String>, StatusCode> {
    let notice = site.notices.get(id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Html(page("notice", [notice].into_iter())))
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
    Ok(Html(page(
        author,
        site.notices
            .newest()
            .filter(|n| n.author == author)
            .take(20),
    )))
}

/// Only words of ours come in here, so nothing has to be escaped.
pub(crate) fn page<'a>(title: &str, notices: impl Iterator<Item = &'a Notice>) -> String {
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
