//! Hosts that do not do what a client waits for.

use crate::tls;
use bytes::Bytes;
use http_body_util::channel::Channel;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{Domain, Socket, Type};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// How a host lets a call hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its name is never answered.
    NoName,
    /// Its backlog is full: the kernel drops further SYNs.
    FullBacklog,
    /// It accepts and says nothing.
    AcceptThenSilence,
    /// It sends half of a head.
    HalfAHead,
    /// It sends a head and 17 of 100 bytes.
    BodyStops,
    /// It reads nothing of an upload.
    ReadsNothing,
    /// It lets nobody send any data: a window of zero.
    ZeroWindow,
}

/// What has come of the answer's body when it stops.
pub const PART: &[u8] = b"seventeen bytes..";

/// Starts such a host; `None` if that is no matter of a host.
pub async fn start(fault: Fault, secured: bool, http2: bool) -> Option<SocketAddr> {
    match fault {
        Fault::NoName => None,
        Fault::FullBacklog => Some(black_hole(Ipv4Addr::LOCALHOST.into(), 0)),
        Fault::AcceptThenSilence => Some(keep(TcpListener::bind(LOOPBACK).await.unwrap())),
        Fault::ZeroWindow => Some(h2(Some(0), secured).await),
        Fault::BodyStops if http2 => Some(h2(None, secured).await),
        _ if http2 => Some(keep(TcpListener::bind(LOOPBACK).await.unwrap())),
        fault => Some(h1(fault, secured).await),
    }
}

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Accepts, and keeps what it has accepted.
fn keep(listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

/// A port at which nobody is ever accepted: its queue is full.
pub fn black_hole(ip: IpAddr, port: u16) -> SocketAddr {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let hole = tcp();
    hole.bind(&SocketAddr::new(ip, port).into()).unwrap();
    hole.listen(0).unwrap();
    let address = hole.local_addr().unwrap().as_socket().unwrap();
    for _ in 0..4 {
        let filler = tcp();
        filler.set_nonblocking(true).unwrap();
        // In progress, which is an error to it
        let _ = filler.connect(&address.into());
        std::mem::forget(filler);
    }
    std::mem::forget(hole);
    address
}

/// The server's end of a connection, secured or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Accepts, over TLS for the protocol `secured` if there is one, and has each connection served.
async fn accept<F>(
    secured: Option<&'static str>,
    serve: impl Fn(Box<dyn Wire>) -> F + Clone + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = serve.clone();
            tokio::spawn(async move {
                match secured {
                    None => serve(Box::new(stream)).await,
                    Some(alpn) => {
                        if let Ok(stream) = tls::acceptor(alpn).accept(stream).await {
                            serve(Box::new(stream)).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn h1(fault: Fault, secured: bool) -> SocketAddr {
    let secured = secured.then_some("http/1.1");
    accept(secured, move |stream| answer(stream, fault)).await
}

async fn answer(mut stream: Box<dyn Wire>, fault: Fault) {
    if fault != Fault::ReadsNothing {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
    }
    let text: &[u8] = match fault {
        Fault::HalfAHead => b"HTTP/1.1 200 OK\r\ncontent-le",
        Fault::BodyStops => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nseventeen bytes..",
        _ => b"",
    };
    let _ = stream.write_all(text).await;
    let _ = stream.flush().await;
    std::future::pending().await
}

/// An HTTP/2 host with this window for what is sent to it, whose answers stop after [`PART`].
async fn h2(window: Option<u32>, secured: bool) -> SocketAddr {
    let secured = secured.then_some("h2");
    accept(secured, move |stream| serve_h2(stream, window)).await
}

async fn serve_h2(stream: Box<dyn Wire>, window: Option<u32>) {
    let service = hyper::service::service_fn(|request: http::Request<_>| stops(request));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn stops(
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Channel<Bytes>>, Infallible> {
    let is_upload = request.method() == http::Method::POST;
    let is_grpc = request.headers().contains_key("te");
    if is_upload && !is_grpc {
        std::future::pending::<()>().await;
    }
    let (mut send, body) = Channel::<Bytes>::new(4);
    tokio::spawn(async move {
        // Of gRPC: the head of a message of 100 bytes, and a part of it.
        let head = if is_grpc { &b"\0\0\0\0\x64"[..] } else { b"" };
        let _ = send.send_data(Bytes::from([head, PART].concat())).await;
        // The body stays open.
        std::future::pending::<()>().await;
        drop(send);
    });
    let response = http::Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body).unwrap())
}
