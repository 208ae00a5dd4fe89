//! Load balancers and other strangers who ask how a process is.

use crate::PATIENCE;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// What is told at `address` to who says `bytes`, until the end; empty if nobody answers.
fn told(address: SocketAddr, bytes: &[u8]) -> String {
    let mut text = String::new();
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(bytes)?;
        stream.read_to_string(&mut text)?;
        Ok(())
    };
    let asked = { ask }();
    asked.map_or_else(|e| panic!("{address} should answer: {e}"), |()| text)
}

/// Status and body of `GET path`.
#[track_caller]
pub fn asked_http(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = told(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(0), body.to_owned())
}

/// Whether `GET /ready` says so.
#[track_caller]
pub fn is_ready(address: SocketAddr) -> bool {
    asked_http(address, "/ready").0 == 200
}

/// What an agent-check is told.
#[track_caller]
pub fn told_agent(address: SocketAddr) -> String {
    told(address, b"")
}

/// A port that nobody had a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}
