//! An actor that sends to itself: its mailbox is full, and the only one who could empty it waits for room.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;

pub(super) fn case() -> Case {
    Case {
        code: "E10",
        title: "an actor that waits for room in its own mailbox",
        source: include_str!("own_mailbox.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            function: Some("own_mailbox::index"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

enum Message {
    Index {
        pages: u32,
        answer: oneshot::Sender<u32>,
    },
    Page(u32),
}

fn app(_: &Ground) -> Router {
    let (mailbox, letters) = mpsc::channel(1);
    tokio::spawn(actor(letters, mailbox.clone()));
    Router::new()
        .route("/index", get(index))
        .with_state(mailbox)
}

fn play(play: &mut Play) {
    play.culprit("/index");
}

async fn index(State(mailbox): State<Sender<Message>>) -> String {
    let (answer, answered) = oneshot::channel();
    let _ = mailbox.send(Message::Index { pages: 3, answer }).await;
    let pages = answered.await; // <- here
    format!("{pages:?} pages")
}

async fn actor(mut letters: mpsc::Receiver<Message>, mailbox: Sender<Message>) {
    let mut seen = Vec::new();
    while let Some(message) = letters.recv().await {
        match message {
            Message::Index { pages, answer } => {
                for page in 0..pages {
                    let _ = mailbox.send(Message::Page(page)).await;
                }
                let _ = answer.send(pages);
            }
            Message::Page(page) => seen.push(page),
        }
    }
}
