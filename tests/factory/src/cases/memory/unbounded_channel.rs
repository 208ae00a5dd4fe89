//! An unbounded channel whose consumer is a client that has stopped reading: everything is kept for it.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::get;
use futures_util::{Stream, stream};
use redhanded::report::Class;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::interval;

pub(super) fn case() -> Case {
    Case {
        code: "M1",
        title: "an unbounded channel to a client that does not read",
        source: include_str!("unbounded_channel.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::MemoryGrowth],
            function: Some("unbounded_channel::produce"),
            hang: Hang::Growing,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/ticker", get(ticker))
}

fn play(play: &mut Play) {
    // Asks, and does not read
    play.culprit("/ticker");
}

async fn ticker() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = unbounded_channel();
    redhanded::spawn(produce(sender));
    let events = stream::unfold(receiver, async |mut receiver| {
        let price: String = receiver.recv().await?;
        Some((Ok(Event::default().data(price)), receiver))
    });
    Sse::new(events)
}

/// Ten thousand messages a second, for as long as there is somebody to send them to.
async fn produce(sender: UnboundedSender<String>) {
    let mut beat = interval(Duration::from_millis(1));
    loop {
        beat.tick().await;
        for _ in 0..10 {
            let price = "7".repeat(2000); // <- here
            let sent = sender.send(price); // <- here
            if sent.is_err() {
                return;
            }
        }
    }
}
