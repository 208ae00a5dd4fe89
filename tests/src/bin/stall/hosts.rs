//! Futures that wait for another host.

use crate::peers;
use axum::routing::{MethodRouter, any};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;

pub(crate) fn stall(name: &str) -> Option<MethodRouter> {
    Some(match name {
        "connect" => any(connect),
        "read" => any(read),
        "write" => any(write),
        "write_closed" => any(write_closed),
        "resolve" => any(resolve),
        "two_reads" => any(two_reads),
        "pooled" => any(pooled),
        _ => return None,
    })
}

async fn connect() {
    let address = peers::black_hole().expect("a listener");
    crate::stalls_in_the_next_lines!(1);
    let _ = TcpStream::connect(address).await;
}

async fn connected(address: SocketAddr) -> TcpStream {
    let connected = TcpStream::connect(address).await;
    connected.expect("a listener accepts")
}

async fn read() {
    let mut stream = connected(peers::silent().expect("a listener")).await;
    let mut answer = [0; 16];
    crate::stalls_in_the_next_lines!(1);
    let _ = stream.read(&mut answer).await;
}

/// More than any buffer takes, to one that reads nothing.
async fn write() {
    let mut stream = connected(peers::silent().expect("a listener")).await;
    let upload = vec![0; 64 << 20];
    crate::stalls_in_the_next_lines!(1);
    let _ = stream.write_all(&upload).await;
}

/// The same to one that has said that it will send nothing either.
async fn write_closed() {
    let mut stream = connected(peers::half_closed().expect("a listener")).await;
    let upload = vec![0; 64 << 20];
    crate::stalls_in_the_next_lines!(1);
    let _ = stream.write_all(&upload).await;
}

/// As a resolver waits. There need be no name server: nothing is sent.
async fn resolve() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let name_server = SocketAddr::from(([127, 0, 0, 1], 53));
    socket.connect(name_server).await.expect("an address");
    crate::tell("peer", name_server);
    let mut answer = [0; 512];
    crate::stalls_in_the_next_lines!(1);
    let _ = socket.recv(&mut answer).await;
}

/// Which of them is late, nobody can say.
async fn two_reads() {
    let address = peers::silent().expect("a listener");
    let mut primary = connected(address).await;
    let mut replica = connected(address).await;
    crate::stalls_in_the_next_lines!(1);
    let _ = tokio::join!(primary.read_u8(), replica.read_u8());
}

/// The connection is another task's, as in every pool.
async fn pooled() {
    let mut stream = connected(peers::silent().expect("a listener")).await;
    let (send, answer) = oneshot::channel();
    tokio::spawn(async move {
        let _ = send.send(stream.read_u8().await);
    });
    crate::stalls_in_the_next_lines!(1);
    let _ = answer.await;
}
