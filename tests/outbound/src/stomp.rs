//! As much of STOMP 1.2 as a queue's client needs. No well-kept client of it has a licence that we take.

use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A session with a broker.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// Those of the connection; another answer than `CONNECTED`.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut session = Self {
            stream: BufReader::new(stream),
        };
        let head = "CONNECT\naccept-version:1.2\nhost:test\n\n";
        session.say(head).await?;
        session.expect("CONNECTED").await?;
        Ok(session)
    }

    /// Asks for the messages of `queue`.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn subscribe(&mut self, queue: &str) -> io::Result<()> {
        let head = format!("SUBSCRIBE\nid:0\ndestination:/queue/{queue}\nack:auto\n\n");
        self.say(&head).await
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// Those of the connection; a frame that is no message.
    pub async fn message(&mut self) -> io::Result<String> {
        self.expect("MESSAGE").await
    }

    /// Sends a message, and waits until the broker has it.
    ///
    /// # Errors
    ///
    /// Those of the connection; a frame that is no receipt.
    pub async fn send(&mut self, queue: &str, body: &str) -> io::Result<()> {
        let head = format!("SEND\ndestination:/queue/{queue}\nreceipt:1\n\n{body}");
        self.say(&head).await?;
        self.expect("RECEIPT").await?;
        Ok(())
    }

    async fn say(&mut self, frame: &str) -> io::Result<()> {
        self.stream.write_all(frame.as_bytes()).await?;
        self.stream.write_all(b"\0").await?;
        self.stream.flush().await
    }

    async fn expect(&mut self, command: &str) -> io::Result<String> {
        let mut frame = Vec::new();
        self.stream.read_until(0, &mut frame).await?;
        if frame.pop() != Some(0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&frame);
        // Between frames there may be line ends.
        let text = text.trim_start_matches(['\n', '\r']);
        if text.lines().next() == Some(command) {
            return Ok(text.to_owned());
        }
        Err(io::Error::other(text.to_owned()))
    }
}
