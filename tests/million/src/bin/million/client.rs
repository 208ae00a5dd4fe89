//! A client of one kept connection. It must cost less than what it measures, hence no more of HTTP
//! than the shop speaks: a length or chunks.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    io: TcpStream,
    heard: Vec<u8>,
    body: Vec<u8>,
}

/// How a body ends.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let io = TcpStream::connect(address).await?;
        io.set_nodelay(true)?;
        Ok(Self {
            io,
            heard: Vec::with_capacity(4096),
            body: Vec::with_capacity(4096),
        })
    }

    /// Status and body of the answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, &[u8])> {
        self.io.write_all(request).await?;
        self.heard.clear();
        self.body.clear();
        let (status, framing, mut at) = loop {
            self.hear().await?;
            if let Some(head) = head(&self.heard)? {
                break head;
            }
        };
        match framing {
            Framing::Length(length) => {
                while self.heard.len() < at + length {
                    self.hear().await?;
                }
                self.body.extend_from_slice(&self.heard[at..at + length]);
            }
            Framing::Chunked => while !self.chunk(&mut at).await? {},
        }
        Ok((status, &self.body))
    }

    async fn hear(&mut self) -> std::io::Result<()> {
        match self.io.read_buf(&mut self.heard).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Takes the chunk at `at`; whether it was the last.
    async fn chunk(&mut self, at: &mut usize) -> std::io::Result<bool> {
        let (begin, size) = loop {
            let parsed = httparse::parse_chunk_size(&self.heard[*at..]);
            match parsed.map_err(|_| bad("a chunk's size"))? {
                httparse::Status::Complete((line, size)) => {
                    let size = usize::try_from(size).map_err(|_| bad("a chunk's size"))?;
                    break (*at + line, size);
                }
                httparse::Status::Partial => self.hear().await?,
            }
        };
        let end = begin + size;
        while self.heard.len() < end + 2 {
            self.hear().await?;
        }
        self.body.extend_from_slice(&self.heard[begin..end]);
        *at = end + 2;
        Ok(size == 0)
    }
}

/// Status, framing, and where the body begins, once the head is whole.
fn head(heard: &[u8]) -> std::io::Result<Option<(u16, Framing, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(heard).map_err(|_| bad("a head"))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response.code.ok_or_else(|| bad("a status"))?;
    let find = |name: &str| {
        let mut headers = response.headers.iter();
        headers.find(|h| h.name.eq_ignore_ascii_case(name))
    };
    let framing = match find("content-length") {
        Some(header) => {
            let text = std::str::from_utf8(header.value).ok();
            let length = text.and_then(|t| t.parse().ok());
            Framing::Length(length.ok_or_else(|| bad("a length"))?)
        }
        None if find("transfer-encoding").is_some() => Framing::Chunked,
        None => Framing::Length(0),
    };
    Ok(Some((status, framing, length)))
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} is malformed"))
}
