//! Hosts that do not answer, on the loop-back. Each tells its address under the key that it is given.

use crate::tell;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Accepts, and does `serve` with each connection, on a thread of its own.
pub fn serve(key: &str, serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).expect("a free port");
    let address = listener.local_addr().expect("bound");
    tell(key, address);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Accepts and never says a word.
pub fn silent(key: &str) -> SocketAddr {
    serve(key, keep)
}

/// An HTTP server without faults: answers each request, whose head `body` is given, with JSON.
pub fn answers(key: &str, body: fn(&str) -> &'static str) -> SocketAddr {
    serve(key, move |mut stream| {
        let _ = stream.set_nodelay(true);
        let mut head = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut head) {
            let body = body(&String::from_utf8_lossy(&head[..n]));
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Reads one request's head, sends `answer`, and says nothing more.
pub fn stops_after(key: &str, answer: &'static [u8]) -> SocketAddr {
    serve(key, move |mut stream| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(answer);
        keep(stream);
    })
}

/// Keeps a connection open for ever; what comes is read and forgotten.
pub fn keep(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
    // A client that gives up does not make us close
    loop {
        std::thread::park();
    }
}

/// A port of the loop-back that nobody listens on.
pub fn closed(key: &str) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).expect("a free port");
    let address = listener.local_addr().expect("bound");
    tell(key, address);
    address
}

/// A name server that takes questions and never answers.
pub fn silent_name_server(key: &str) -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).expect("a free port");
    let address = socket.local_addr().expect("bound");
    tell(key, address);
    std::mem::forget(socket);
    address
}

/// Its backlog is full: the kernel drops further SYNs, so that a connect hangs in `SYN_SENT`.
pub fn black_hole(key: &str) -> SocketAddr {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let hole = tcp();
    let bound: SocketAddr = LOOPBACK.into();
    hole.bind(&bound.into()).expect("a free port");
    hole.listen(0).expect("bound");
    let address = hole.local_addr().expect("bound").as_socket().expect("IPv4");
    for _ in 0..4 {
        let filler = tcp();
        filler.set_nonblocking(true).expect("a socket");
        // In progress, which is an error to it
        let _ = filler.connect(&address.into());
        std::mem::forget(filler);
    }
    std::mem::forget(hole);
    tell(key, address);
    address
}
