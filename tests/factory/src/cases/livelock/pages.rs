//! Pages without end: the host gives a cursor that leads where we have been.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::net::SocketAddr;

pub(super) fn case() -> Case {
    Case {
        code: "B7",
        title: "pages whose next is the same page",
        source: include_str!("pages.rs"),
        file: file!(),
        app: |ground| app(ground, |_| r#"{"items":["a","b"],"next":"abc"}"#),
        play,
        truth: Truth {
            classes: &[Class::RepeatingCalls],
            function: Some("pages::sync_all"),
            peer: Some("api"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The host's pages lead to each other.
pub(super) fn case_of_two() -> Case {
    Case {
        code: "B7b",
        title: "two pages that lead to each other",
        app: |ground| app(ground, two),
        ..case()
    }
}

/// The host means "no more" by an empty cursor, which begins anew.
pub(super) fn case_of_empty() -> Case {
    Case {
        code: "B7c",
        title: "an empty cursor that means the end, and begins anew",
        app: |ground| app(ground, |_| r#"{"items":["a","b"],"next":""}"#),
        ..case()
    }
}

fn two(head: &str) -> &'static str {
    if head.contains("cursor=a ") {
        r#"{"items":["a"],"next":"b"}"#
    } else {
        r#"{"items":["b"],"next":"a"}"#
    }
}

fn app(ground: &Ground, page: fn(&str) -> &'static str) -> Router {
    let api = peers::answers("api", page);
    let client = ground.reqwest(reqwest::Client::builder());
    Router::new().route("/sync", get(move || sync_all(client.clone(), api)))
}

fn play(play: &mut Play) {
    play.culprit("/sync");
}

async fn sync_all(client: reqwest::Client, api: SocketAddr) -> String {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let url = format!("http://{api}/items?cursor={cursor}");
        let answer = client.get(url).send().await; // <- here
        let text = answer.expect("an answer").text().await; // <- here
        let page: Page = serde_json::from_str(&text.expect("a body")).expect("a page");
        items.extend(page.items);
        match page.next {
            Some(next) => cursor = next,
            None => return format!("{} items", items.len()),
        }
    }
}

#[derive(serde::Deserialize)]
struct Page {
    items: Vec<String>,
    next: Option<String>,
}
