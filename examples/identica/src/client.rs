//! A small HTTP/1.1 client that keeps its connection: as little as the visitors need.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address.to_string(),
            answer: Vec::with_capacity(8 * 1024),
        })
    }

    /// Asks, waits for the whole answer, and gives its status.
    pub(crate) async fn ask(&mut self, method: &str, target: &str) -> std::io::Result<u16> {
        let length = if method == "POST" {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nuser-agent: visitor/1.0\r\n{length}\r\n",
            self.host
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, whole)) = head(&self.answer)?
                && self.answer.len() >= whole
            {
                return Ok(status);
            }
        }
    }
}

/// The status and the length of the whole answer, once its head is there.
fn head(answer: &[u8]) -> std::io::Result<Option<(u16, usize)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&answer[..end]);
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4 + length))),
        _ => Err(Error::new(
            ErrorKind::InvalidData,
            format!("an answer without status or length: {text:?}"),
        )),
    }
}
