//! A download from another host that takes long and is alive all the time.

use crate::{Case, Ground, Hang, Needs, Play, Truth, peers};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) fn watched() -> Case {
    Case {
        code: "N5",
        title: "a slow download that moves",
        source: include_str!("slow_download.rs"),
        file: file!(),
        app: |ground: &Ground| app(ground.reqwest(reqwest::Client::builder())),
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs::default(),
    }
}

pub(super) fn unwatched() -> Case {
    Case {
        code: "N5b",
        title: "the same, by a client that nobody watches",
        app: |_: &Ground| app(reqwest::Client::new()),
        ..watched()
    }
}

const CHUNKS: usize = 20;
const CHUNK: &[u8] = &[b'7'; 1000];
const BEAT: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Shop {
    client: reqwest::Client,
    supplier: SocketAddr,
}

fn app(client: reqwest::Client) -> Router {
    let supplier = peers::serve("peer", |stream| drop(dribble(stream)));
    Router::new()
        .route("/catalogue", get(catalogue))
        .with_state(Shop { client, supplier })
}

fn play(play: &mut Play) {
    play.told("peer");
    play.innocent("/catalogue")
        .is_answered(BEAT * 2 * CHUNKS as u32);
}

async fn catalogue(State(shop): State<Shop>) -> Result<String, StatusCode> {
    let url = format!("http://{}/", shop.supplier);
    let answer = shop.client.get(url).send().await;
    let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
    answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn dribble(mut stream: TcpStream) -> io::Result<()> {
    let mut head = [0; 4096];
    let _ = stream.read(&mut head)?;
    let length = CHUNKS * CHUNK.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
    )?;
    for _ in 0..CHUNKS {
        std::thread::sleep(BEAT);
        stream.write_all(CHUNK)?;
    }
    peers::keep(stream);
    Ok(())
}
