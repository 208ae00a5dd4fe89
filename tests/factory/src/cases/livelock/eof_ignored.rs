//! A read loop that takes the end of the stream for "nothing yet".

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::io::Write;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub(super) fn case() -> Case {
    Case {
        code: "B4",
        title: "a read loop that ignores the end of the stream",
        source: include_str!("eof_ignored.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SpinLoop],
            function: Some("eof_ignored::relay"),
            peer: Some("line-server"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    // Half a line, and the end
    let server = peers::serve("line-server", |mut stream| {
        let _ = stream.write_all(b"position 54.3");
    });
    Router::new().route("/position", get(move || relay(server)))
}

fn play(play: &mut Play) {
    play.culprit("/position");
}

async fn relay(server: SocketAddr) -> String {
    let mut stream = TcpStream::connect(server).await.expect("it accepts");
    let mut line = String::new();
    let mut bytes = [0; 256];
    while !line.ends_with('\n') {
        let read = stream.read(&mut bytes).await; // <- here
        let n = read.expect("no error");
        line += &String::from_utf8_lossy(&bytes[..n]);
    }
    line
}
