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
            // A refused socket is gone before anybody can look at it: nothing tells the host
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

/// The same with a guard around each attempt, which knows the host.
pub(super) fn case_of_guarded() -> Case {
    Case {
        code: "B8c",
        title: "the same with a guard around each attempt",
        app: |_| {
            let host = peers::closed("down");
            Router::new().route("/stock", get(move || guarded(host)))
        },
        truth: Truth {
            classes: &[Class::RepeatingCalls],
            function: Some("retry::guarded"),
            peer: Some("down"),
            ..Truth::default()
        },
        ..case()
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

async fn guarded(host: SocketAddr) -> String {
    loop {
        let attempt = redhanded::outbound("stock", host.to_string());
        let tried = attempt.try_run(TcpStream::connect(host)).await; // <- here
        if let Ok(stream) = tried {
            return format!("{:?}", stream.peer_addr());
        }
    }
}
