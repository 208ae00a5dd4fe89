//! One connection for everybody, and the server stops: all requests wait for the task that has the socket.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use redhanded::report::Class;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use tokio::sync::OnceCell;

pub(super) fn case() -> Case {
    Case {
        code: "F9",
        title: "a cache that stops, behind one connection",
        source: include_str!("multiplexed.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            function: Some("multiplexed::session"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

#[derive(Clone)]
struct Cache {
    server: SocketAddr,
    connection: Arc<OnceCell<MultiplexedConnection>>,
}

impl Cache {
    /// Answers may take for ever, as they might by default up to 0.27.
    async fn connection(&self) -> MultiplexedConnection {
        let connect = async || {
            let client = Client::open(format!("redis://{}/", self.server)).expect("a URL");
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            connection.await.expect("it listens")
        };
        self.connection.get_or_init(connect).await.clone()
    }
}

fn app(_: &Ground) -> Router {
    let cache = Cache {
        server: peers::serve("peer", |stream| drop(answers_once(stream))),
        connection: Arc::default(),
    };
    Router::new()
        .route("/session/{id}", get(session))
        .with_state(cache)
}

fn play(play: &mut Play) {
    play.told("peer");
    let patience = 20 * play.slow_after();
    play.innocent("/session/0").is_answered(patience);
    for id in 1..=3 {
        play.culprit(&format!("/session/{id}"));
    }
}

async fn session(State(cache): State<Cache>, Path(id): Path<u32>) -> String {
    let mut connection = cache.connection().await;
    let session: RedisResult<String> = connection.get(id).await; // <- here
    format!("{session:?}")
}

/// What a connection begins with, and one question.
fn answers_once(mut stream: TcpStream) -> std::io::Result<()> {
    for _ in 0..2 {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes)?;
        let commands = bytes[..read].split(|byte| *byte == b'\n');
        for _ in commands.filter(|line| line.starts_with(b"*")) {
            stream.write_all(b"+OK\r\n")?;
        }
    }
    peers::keep(stream);
    Ok(())
}
