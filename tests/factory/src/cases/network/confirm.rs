//! A broker that never confirms: the message is out, and whoever sent it waits for a word that does not come.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

pub(super) fn case() -> Case {
    Case {
        code: "F10",
        title: "a broker that never confirms",
        source: include_str!("confirm.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::StuckAwait],
            function: Some("confirm::publish"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

type Confirm = oneshot::Sender<()>;

fn app(_: &Ground) -> Router {
    let (publisher, published) = mpsc::channel(16);
    tokio::spawn(broker(published));
    Router::new()
        .route("/publish", get(publish))
        .with_state(publisher)
}

fn play(play: &mut Play) {
    play.culprit("/publish");
}

async fn publish(State(publisher): State<mpsc::Sender<Confirm>>) -> &'static str {
    let (confirm, confirmed) = oneshot::channel();
    let _ = publisher.send(confirm).await;
    let answer = confirmed.await; // <- here
    match answer {
        Ok(()) => "published",
        Err(_) => "refused",
    }
}

/// Under flow control: it keeps what it is given, and confirms nothing.
async fn broker(mut published: mpsc::Receiver<Confirm>) {
    let mut unconfirmed = HashMap::new();
    while let Some(confirm) = published.recv().await {
        unconfirmed.insert(unconfirmed.len(), confirm);
    }
}
