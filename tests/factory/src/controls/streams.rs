//! Streams that are quiet for long, because there is nothing to say.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::sse::Event;
use axum::response::{Response, Sse};
use axum::routing::get;
use futures_util::{Stream, stream};
use redhanded::LongLivedLayer;
use std::convert::Infallible;
use std::future::pending;

pub(super) fn events() -> Case {
    Case {
        code: "N1",
        title: "an event stream that has nothing to say",
        source: include_str!("streams.rs"),
        file: file!(),
        app: |_: &Ground| Router::new().route("/events", get(quiet_events)),
        play: |play: &mut Play| {
            play.innocent("/events");
        },
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

pub(super) fn long_poll() -> Case {
    Case {
        code: "N1b",
        title: "a long poll that waits for news",
        app: |_: &Ground| {
            let news = get(pending::<String>).layer::<_, Infallible>(LongLivedLayer::new());
            Router::new().route("/news", news)
        },
        play: |play: &mut Play| {
            play.innocent("/news");
        },
        ..events()
    }
}

pub(super) fn web_socket() -> Case {
    Case {
        code: "N1c",
        title: "a web socket that nobody talks on",
        app: |_: &Ground| Router::new().route("/chat", get(chat)),
        play: |play: &mut Play| {
            let head = "GET /chat HTTP/1.1\r\nhost: shop.example:8080\r\nconnection: upgrade\r\n\
                upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            play.raw(crate::Part::Innocent, "/chat", head.as_bytes());
        },
        ..events()
    }
}

async fn quiet_events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = Event::default().data("welcome");
    let events = stream::unfold(Some(first), async |next| match next {
        Some(event) => Some((Ok(event), None)),
        None => pending().await,
    });
    Sse::new(events)
}

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(listen)
}

async fn listen(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}
