//! A client that says byte for byte what it is told.

use crate::PATIENCE;
use crate::client::tcp;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A TCP connection. Dropping it closes it.
#[derive(Debug)]
pub struct Raw {
    io: TcpStream,
    heard: Vec<u8>,
}

impl Raw {
    /// Connects; with `reset`, the connection will be ended by RST.
    pub async fn connect(at: SocketAddr, reset: bool) -> Self {
        Self {
            io: tcp(at, reset).await,
            heard: Vec::new(),
        }
    }

    /// Says this.
    pub async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.expect("it reads");
    }

    /// Everything that comes until `enough` is heard, with it.
    ///
    /// # Panics
    ///
    /// If it does not come in due time.
    pub async fn hear(&mut self, enough: &str) -> String {
        let heard = |all: &[u8]| String::from_utf8_lossy(all).find(enough);
        while heard(&self.heard).is_none() {
            let more = timeout(PATIENCE, self.io.read_buf(&mut self.heard)).await;
            let more = more.ok().and_then(Result::ok).unwrap_or(0);
            let all = String::from_utf8_lossy(&self.heard);
            assert!(more > 0, "{enough:?} was not heard, but {all:?}");
        }
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Everything until the server closes the connection.
    ///
    /// # Panics
    ///
    /// If it does not in due time.
    pub async fn hear_all(&mut self) -> String {
        let all = timeout(PATIENCE, self.io.read_to_end(&mut self.heard)).await;
        // A reset ends an answer, too
        let _ = all.expect("the server closes the connection");
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Forgets what was heard.
    pub fn forget(&mut self) {
        self.heard.clear();
    }

    /// The connection itself.
    pub fn into_io(self) -> TcpStream {
        self.io
    }
}
