//! A database that dies between its greeting and the first query: the request waits for its connection's task, and
//! the task for the socket.

use crate::{Case, Ground, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use redhanded::report::Class;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tokio_postgres::{Config, NoTls};

pub(super) fn case() -> Case {
    Case {
        code: "F11",
        title: "a database that dies during a query",
        source: include_str!("postgres.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::SilentPeer],
            function: Some("postgres::order"),
            peer: Some("peer"),
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

fn app(_: &Ground) -> Router {
    let server = peers::serve("peer", |stream| drop(swallows_queries(stream)));
    Router::new()
        .route("/order/{id}", get(order))
        .with_state(server)
}

fn play(play: &mut Play) {
    play.told("peer");
    play.culprit("/order/7");
}

async fn order(State(server): State<SocketAddr>) -> String {
    let mut config = Config::new();
    config.host(server.ip().to_string()).port(server.port());
    config.user("shop").dbname("shop");
    let (client, connection) = config.connect(NoTls).await.expect("it greets");
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("connection error: {error}");
        }
    });
    let rows = client.query("SELECT total FROM orders", &[]).await; // <- here
    format!("{rows:?}")
}

/// Lets anybody in, and then says no more.
fn swallows_queries(mut stream: TcpStream) -> std::io::Result<()> {
    const AUTHENTICATED: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let rest = u32::from_be_bytes(length).saturating_sub(4) as usize;
    stream.read_exact(&mut vec![0; rest])?;
    stream.write_all(AUTHENTICATED)?;
    stream.write_all(READY)?;
    peers::keep(stream);
    Ok(())
}
