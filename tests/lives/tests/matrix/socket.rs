//! Websockets: the request ends when the connection is no longer HTTP, and the socket lives on.

use futures_util::{SinkExt, StreamExt};
use redhanded_lives::{End, Lane, Wanted, comes, scale};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub(crate) async fn sockets(lane: &mut Lane, each: u64) {
    let count = scale(each);
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(connect(lane.server.port()).await);
    }
    // All sockets are open, and no request is
    lane.settle("websocket", Wanted::of(End::Completed, count))
        .await;
    for socket in &mut open {
        for word in 0..lane.chance.among(1..10) {
            let word = Message::text(word.to_string());
            socket.send(word.clone()).await.expect("it lives");
            let heard = socket.next().await.expect("an answer");
            assert_eq!(heard.expect("a whole one"), word);
        }
    }
    let redhanded = &lane.watched.redhanded;
    assert!(comes(|| redhanded.in_flight() == 0).await);
    for socket in open.drain(..count as usize / 2) {
        drop(socket);
    }
    for mut socket in open {
        socket.close(None).await.expect("it lives");
    }
    lane.settle("websocket", Wanted::default()).await;
}

async fn connect(at: std::net::SocketAddr) -> WebSocketStream<TcpStream> {
    let io = TcpStream::connect(at).await.expect("it listens");
    let opened = tokio_tungstenite::client_async(format!("ws://{at}/socket"), io).await;
    let (socket, answer) = opened.expect("an upgrade");
    assert_eq!(answer.status().as_u16(), 101);
    socket
}
