//! A connection that is refused, and tried again at once.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub(super) fn case() -> Case {
    Case {
        code: "B8",
        title: "a refused connection that is tried again at once",
        source: include_str!("retry.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::RepeatingCalls, Class::SpinLoop],
            function: Some("retry::connected"),
            peer: Some("down"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let host = peers::closed("down");
    Router::new().route("/stock", get(move || stock(host)))
}

fn play(play: &mut Play) {
    play.culprit("/stock");
}

async fn stock(host: SocketAddr) -> String {
    let stream = connected(host).await;
    format!("{:?}", stream.peer_addr())
}

async fn connected(host: SocketAddr) -> TcpStream {
    loop {
        let tried = TcpStream::connect(host).await; // <- here
        if let Ok(stream) = tried {
            return stream;
        }
    }
}
