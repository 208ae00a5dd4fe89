//! hyper as a client, over one connection that the test owns.

use crate::frames::Frames;
use crate::serve::Address;
use crate::tls;
use crate::wire::{Io, Wire};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/2, without TLS by prior knowledge
    H2,
}

#[derive(Debug)]
enum Send {
    H1(http1::SendRequest<Frames>),
    H2(http2::SendRequest<Frames>),
}

/// One connection. Dropping it closes it at once, with no goodbye.
#[derive(Debug)]
pub struct Client {
    send: Send,
    connection: JoinHandle<()>,
    wire: Wire,
}

/// A TCP connection that is closed by a reset instead of an orderly end if `reset` says so.
pub(crate) async fn tcp(at: std::net::SocketAddr, reset: bool) -> TcpStream {
    let io = TcpStream::connect(at).await.expect("it listens");
    io.set_nodelay(true).expect("a setting");
    if reset {
        let linger = Some(Duration::ZERO);
        SockRef::from(&io).set_linger(linger).expect("a setting");
    }
    io
}

impl Client {
    /// Connects; with `reset`, the connection will be ended by RST instead of FIN.
    pub async fn connect(address: &Address, protocol: Protocol, reset: bool) -> Self {
        let io: Box<dyn Io> = match address {
            Address::Tcp(at) => Box::new(tcp(*at, reset).await),
            Address::Tls(at) => {
                let alpn = match protocol {
                    Protocol::H1 => "http/1.1",
                    Protocol::H2 => "h2",
                };
                let io = tcp(*at, reset).await;
                let secured = tls::connector(alpn).connect(tls::name(), io).await;
                Box::new(secured.expect("TLS"))
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.expect("it listens")),
        };
        let wire = Wire::new(io);
        let io = TokioIo::new(wire.clone());
        let (send, connection) = match protocol {
            Protocol::H1 => {
                let (send, connection) = http1::handshake(io).await.expect("HTTP/1.1");
                (
                    Send::H1(send),
                    tokio::spawn(async { drop(connection.await) }),
                )
            }
            Protocol::H2 => {
                let (send, connection) = http2::handshake(TokioExecutor::new(), io)
                    .await
                    .expect("HTTP/2");
                (
                    Send::H2(send),
                    tokio::spawn(async { drop(connection.await) }),
                )
            }
        };
        Self {
            send,
            connection,
            wire,
        }
    }

    /// Sends a request; the answer's head is in the future, which is the caller's to drop.
    pub fn send(
        &mut self,
        mut request: Request<Frames>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + std::marker::Send + use<> {
        let answer: Result<_, _> = match &mut self.send {
            Send::H1(send) => {
                let host = http::HeaderValue::from_static("lives.example");
                request.headers_mut().insert(http::header::HOST, host);
                Ok(send.send_request(request))
            }
            Send::H2(send) => {
                if request.method() != http::Method::CONNECT {
                    let path = request.uri().path_and_query().expect("a path").clone();
                    let uri = Uri::builder().scheme("http").authority("lives.example");
                    *request.uri_mut() = uri.path_and_query(path).build().expect("a URI");
                }
                Err(send.send_request(request))
            }
        };
        async move {
            match answer {
                Ok(h1) => h1.await,
                Err(h2) => h2.await,
            }
        }
    }

    /// Waits until the connection takes another request; `false` when it is over.
    pub async fn ready(&mut self) -> bool {
        match &mut self.send {
            Send::H1(send) => send.ready().await.is_ok(),
            Send::H2(send) => send.ready().await.is_ok(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.wire.cut();
        self.connection.abort();
    }
}
