//! A pool without a time-out: two requests have its connections and wait for a host that is silent, and the third
//! waits for them.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use deadpool::managed::{self, Metrics, RecycleResult};
use redhanded::report::Class;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) fn case() -> Case {
    Case {
        code: "G1",
        title: "a pool whose connections wait for a silent host",
        source: include_str!("no_timeout.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            victims: &[Class::PoolWait],
            function: Some("no_timeout::lookup"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

struct Connections {
    server: SocketAddr,
}

impl managed::Manager for Connections {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.server).await
    }

    async fn recycle(&self, _: &mut TcpStream, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}

type Pool = managed::Pool<Connections>;

fn app(_: &Ground) -> Router {
    let connections = Connections {
        server: peers::silent("peer"),
    };
    let pool = Pool::builder(connections).max_size(2).build();
    Router::new()
        .route("/lookup/{key}", get(lookup))
        .with_state(pool.expect("no time-outs, so no runtime"))
}

fn play(play: &mut Play) {
    play.told("peer");
    play.culprit("/lookup/1");
    play.culprit("/lookup/2");
    play.wait(play.slow_after() / 5);
    play.victim("/lookup/3");
}

async fn lookup(State(pool): State<Pool>) -> String {
    let mut connection = pool.get().await.expect("no time-out");
    connection.write_all(b"GET\r\n").await.expect("it listens");
    let mut answer = [0; 64];
    let read = connection.read(&mut answer).await; // <- here
    format!("{read:?}")
}
