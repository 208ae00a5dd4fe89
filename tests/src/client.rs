//! A client that says byte for byte what it is told.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The host that every request names.
pub(crate) const HOST: &str = "shop.example:8080";

/// A request that was sent, and the connection that it was sent on.
///
/// Dropping it closes the connection.
#[derive(Debug)]
pub struct Asked {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asked {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).expect("the stall listens"),
            answer: Vec::new(),
        }
    }

    pub(crate) fn send(mut self, head: &[u8]) -> Self {
        self.stream.write_all(head).expect("the stall reads");
        self
    }

    /// More of its body; an error if the server has closed the connection.
    pub fn send_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Closes the connection, whatever is under way on it.
    pub fn hang_up(&mut self) {
        // The server may have been faster
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// One more request on this connection, after the answer to the former was read.
    pub fn get_again(mut self, target: &str) -> Self {
        self.answer.clear();
        self.send(get(target).as_bytes())
    }

    /// What has been answered until `deadline` or until `enough` says so.
    pub fn answer_within(&mut self, deadline: Duration, enough: impl Fn(&[u8]) -> bool) -> &[u8] {
        let end = Instant::now() + deadline;
        while !enough(&self.answer) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.read(left).is_ok_and(|n| n == 0) {
                break;
            }
        }
        &self.answer
    }

    /// Reads for so long and keeps nothing; returns how many bytes came.
    pub fn discard_for(&mut self, duration: Duration) -> u64 {
        let end = Instant::now() + duration;
        let mut read = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.read(left).is_ok_and(|n| n == 0) {
                return read;
            }
            read += self.answer.len() as u64;
            self.answer.clear();
        }
    }

    /// Number of the answer's bytes that are here, after `0` if the connection ended.
    fn read(&mut self, left: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left))?;
        let mut bytes = [0; 16 << 10];
        let read = match self.stream.read(&mut bytes) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Err(error);
            }
            // A reset ends an answer, too
            other => other.unwrap_or(0),
        };
        self.answer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    /// The status, if the head of an answer comes within `deadline`.
    pub fn status_within(&mut self, deadline: Duration) -> Option<u16> {
        let answer = self.answer_within(deadline, |a| a.windows(4).any(|w| w == b"\r\n\r\n"));
        let head = String::from_utf8_lossy(answer);
        head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// The body of an answer that comes whole within `deadline`, for answers with a length.
    pub fn body_within(&mut self, deadline: Duration) -> Option<String> {
        let answer = self.answer_within(deadline, |a| body(a).is_some());
        body(answer)
    }
}

/// The body of an answer that is complete.
fn body(answer: &[u8]) -> Option<String> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok())?;
    (body.len() >= length).then(|| body.to_owned())
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: tests/1\r\n\r\n")
}
