//! A host that takes requests and answers none.

use crate::wait::{SOON, until};
use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Listens until the test is over, and keeps what it was asked.
pub(crate) struct Silent {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Silent {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let keeps = heads.clone();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let head = head_of(&mut stream);
                keeps.lock().expect("no panic").push(head);
                // Closed, it would be an answer.
                kept.push(stream);
            }
        });
        Self { port, heads }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// By a name, which is to be told as well as what it means.
    pub(crate) fn peer(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The head of its first request.
    pub(crate) fn head(&self) -> String {
        until("the silent host is asked", SOON, || {
            self.heads.lock().expect("no panic").first().cloned()
        })
    }
}

/// All up to the empty line, or to wherever its client stops.
fn head_of(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
