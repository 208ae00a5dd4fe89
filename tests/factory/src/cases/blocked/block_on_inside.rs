//! A future driven by another executor on the only thread of the runtime: the answer comes, and
//! nobody is there to see it.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::routing::get;
use futures_executor::block_on;
use redhanded::report::Class;
use std::time::Duration;

pub(super) fn case() -> Case {
    Case {
        code: "C8",
        title: "block_on inside of async code",
        source: include_str!("block_on_inside.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            // The thread sleeps in the one poll, and for want of it its runtime is not driven
            classes: &[Class::BlockedThread, Class::Undriven],
            function: Some("block_on_inside::price"),
            ..Truth::default()
        },
        needs: Needs {
            workers: Some(0),
            ..Needs::default()
        },
    }
}

fn app(ground: &Ground) -> Router {
    let host = peers::answers("host", |_| "{}");
    let client = ground.reqwest(reqwest::Client::builder());
    let url = format!("http://{host}/price");
    Router::new().route("/price", get(move || price(client.clone(), url.clone())))
}

fn play(play: &mut Play) {
    play.culprit("/price");
    play.wait(Duration::from_millis(200));
    play.victim("/health");
}

async fn price(client: reqwest::Client, url: String) -> String {
    let answer = block_on(client.get(url).send()); // <- here
    format!("{answer:?}")
}
