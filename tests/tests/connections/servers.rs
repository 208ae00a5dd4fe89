//! Servers in this process, and clients of them.

use crate::watched::{SLOW, Watched};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use redhanded::WatchedIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tower::{Layer, Service, service_fn};

/// What a path that begins so does; every other one answers at once. Slow ones take as long as it
/// takes to have a line about them, whatever else the machine has to do.
async fn handler(watched: Watched, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let begins = |with: &str| path.starts_with(with);
    if begins("/slow") {
        watched.is_caught(&path).await;
    } else if begins("/fixed") {
        tokio::time::sleep(SLOW).await;
    } else if begins("/hang") {
        std::future::pending::<()>().await;
    } else if begins("/panic") {
        watched.is_caught(&path).await;
        panic!("on purpose");
    } else if begins("/endless") {
        return Body::from_stream(endless()).into_response();
    } else if begins("/upload") {
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        return match body {
            Ok(body) => body.len().to_string().into_response(),
            Err(_) => std::future::pending().await,
        };
    }
    path.into_response()
}

/// A frame now and then, for ever.
fn endless() -> impl futures_util::Stream<Item = Result<&'static str, std::convert::Infallible>> {
    stream::iter(0..).then(|n| async move {
        tokio::time::sleep(Duration::from_millis(if n < 3 { 1 } else { 100_000 })).await;
        Ok("frame")
    })
}

/// No route has a template: each path is one of its own. What is below `/aside` is not watched.
pub(crate) fn app(watched: &Watched) -> Router {
    let own = watched.clone();
    let handle = move |request| handler(own.clone(), request);
    let inside = Router::new()
        .fallback(handle.clone())
        .layer(watched.redhanded.layer());
    Router::new()
        .nest_service("/aside", Router::new().fallback(handle))
        .fallback_service(inside)
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// `axum::serve`, as most do.
pub(crate) async fn axum(watched: &Watched) -> SocketAddr {
    let (listener, address) = bind().await;
    let listener = watched.redhanded.listener(listener);
    let app = app(watched);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The same for HTTP/2, whose streams have tasks of their own.
pub(crate) async fn axum_with_connect_info(watched: &Watched) -> SocketAddr {
    let (listener, address) = bind().await;
    let listener = watched.redhanded.listener(listener);
    let app = app(watched).into_make_service_with_connect_info::<redhanded::ClientAddress>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What a loop of one's own does with a connection.
pub(crate) trait Serve: Clone + Send + 'static {
    fn serve(self, io: WatchedIo<TcpStream>) -> impl Future<Output = ()> + Send;
}

impl<F, Fut> Serve for F
where
    F: Fn(WatchedIo<TcpStream>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    fn serve(self, io: WatchedIo<TcpStream>) -> impl Future<Output = ()> + Send {
        self(io)
    }
}

/// An accept loop by hand; the last connection's task can be ended.
pub(crate) async fn by_hand(
    watched: &Watched,
    serve: impl Serve,
) -> (SocketAddr, Arc<std::sync::Mutex<Option<AbortHandle>>>) {
    let (listener, address) = bind().await;
    let listener = watched.redhanded.listener(listener);
    let last = Arc::new(std::sync::Mutex::new(None));
    let handle = last.clone();
    tokio::spawn(async move {
        loop {
            let (io, from) = listener.accept().await.expect("a connection");
            assert_eq!(io.client().get(), Some(from));
            let task = tokio::spawn(serve.clone().serve(io));
            *handle.lock().expect("no panic") = Some(task.abort_handle());
        }
    });
    (address, last)
}

/// hyper with a service that is called in the connection's task, whatever the version is.
pub(crate) async fn hyper_in_its_task<S>(watched: &Watched, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (layer, own) = (watched.redhanded.layer(), watched.clone());
    let service = layer.layer(service_fn(move |request: hyper::Request<_>| {
        let (own, request) = (own.clone(), request.map(Body::new));
        async move { Ok::<_, std::convert::Infallible>(handler(own, request).await) }
    }));
    let called =
        hyper::service::service_fn(move |request: hyper::Request<_>| service.clone().call(request));
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that breaks off is an error here, and what the tests are about
    let _ = builder.serve_connection(TokioIo::new(io), called).await;
}

/// hyper's HTTP/1, which goes on when the client has only said that it will send no more.
pub(crate) async fn hyper_half_closed(watched: &Watched, io: WatchedIo<TcpStream>) {
    let service = hyper_util::service::TowerToHyperService::new(app(watched));
    let mut builder = hyper::server::conn::http1::Builder::new();
    let _ = builder
        .half_close(true)
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// A client's connection, and the address that it has for the server.
pub(crate) async fn connect(server: SocketAddr) -> (TcpStream, String) {
    let stream = TcpStream::connect(server).await.expect("a connection");
    let own = stream.local_addr().expect("an address").to_string();
    (stream, own)
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Sends a request on a connection, and reads its whole answer.
pub(crate) async fn ask<S>(stream: &mut S, path: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(stream, get(path).as_bytes()).await;
    answer(stream).await
}

pub(crate) async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.expect("the server reads");
    stream.flush().await.expect("the server reads");
}

/// The whole answer; all bodies of these tests have a length.
pub(crate) async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.expect("a length") {
                return text;
            }
        }
        // One byte at a time, so that nothing of the next answer is taken
        let mut byte = [0];
        let read = stream.read(&mut byte).await.expect("an answer");
        assert_eq!(read, 1, "the answer ends early: {text}");
        all.push(byte[0]);
    }
}

/// An HTTP/2 connection, the address that it has for the server, and a hold on its socket.
pub(crate) async fn http2(
    server: SocketAddr,
) -> (SendRequest<String>, String, std::net::TcpStream) {
    let (stream, own) = connect(server).await;
    let stream = stream.into_std().expect("a socket");
    let hold = stream.try_clone().expect("a descriptor");
    let stream = TcpStream::from_std(stream).expect("a runtime");
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = shaken.expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, own, hold)
}

pub(crate) fn http2_get(path: &str) -> hyper::Request<String> {
    hyper::Request::get(format!("http://a{path}"))
        .body(String::new())
        .expect("a request")
}

/// Both ends of TLS, for `localhost`.
pub(crate) fn tls() -> (tokio_rustls::TlsAcceptor, tokio_rustls::TlsConnector) {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto, pki_types};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let key = pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}
