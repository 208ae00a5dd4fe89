//! Servers on loopback, in this process.

use crate::app::router;
use crate::bare::Bare;
use crate::gate::Gate;
use crate::grpc;
use crate::install::Watched;
use crate::tls;
use futures_util::stream::{self, Stream, StreamExt};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use redhanded::{ClientAddress, Listener, WatchedIo};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::{BoxError, Service, ServiceExt};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `axum::serve` on TCP.
    Axum,
    /// `axum::serve` on a Unix socket.
    Unix,
    /// hyper-util with an axum router, behind TLS.
    Tls,
    /// hyper-util with a watched tower service and nothing else.
    Bare,
    /// A tonic server with the layer.
    Tonic,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// Plain TCP.
    Tcp(SocketAddr),
    /// TLS on TCP.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A server, until it is stopped in one way or another; dropping it lets it run.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: Address,
    finish: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    runtime: Option<Runtime>,
    _dir: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server in the current runtime. Where `proved`, its connections are watched, too, and
    /// say when their client has gone.
    ///
    /// # Panics
    ///
    /// If connections of tonic are to be watched: it takes none but those that it knows.
    pub async fn start(flavour: Flavour, proved: bool, watched: &Watched, gate: &Gate) -> Self {
        let redhanded = &watched.redhanded;
        match flavour {
            Flavour::Axum => {
                let (listener, at) = tcp().await;
                let (finish, finished) = oneshot::channel();
                let router = router(watched, gate);
                let finished = async { drop(finished.await) };
                let address = Address::Tcp(at);
                if proved {
                    let listener = redhanded.listener(listener);
                    let router = router.into_make_service_with_connect_info::<ClientAddress>();
                    let serve = axum::serve(listener, router).with_graceful_shutdown(finished);
                    Self::of(address, Some(finish), async {
                        serve.await.expect("it serves")
                    })
                } else {
                    let serve = axum::serve(listener, router).with_graceful_shutdown(finished);
                    Self::of(address, Some(finish), async {
                        serve.await.expect("it serves")
                    })
                }
            }
            Flavour::Unix => unix(proved, watched, gate),
            Flavour::Tls => {
                let (listener, at) = tcp().await;
                let (router, acceptor) = (router(watched, gate), tls::acceptor());
                let address = Address::Tls(at);
                if proved {
                    let accepted = watched_connections(redhanded.listener(listener));
                    Self::of(address, None, accept(accepted, Some(acceptor), router))
                } else {
                    Self::of(
                        address,
                        None,
                        accept(connections(listener), Some(acceptor), router),
                    )
                }
            }
            Flavour::Bare => {
                let (listener, at) = tcp().await;
                let service = Bare::new(watched, gate);
                let address = Address::Tcp(at);
                if proved {
                    let accepted = watched_connections(redhanded.listener(listener));
                    Self::of(address, None, accept(accepted, None, service))
                } else {
                    Self::of(address, None, accept(connections(listener), None, service))
                }
            }
            Flavour::Tonic => {
                assert!(!proved, "tonic takes no connections but its own");
                let (listener, at) = tcp().await;
                let serve = grpc::serve(listener, watched.layer(), gate.clone());
                Self::of(Address::Tcp(at), None, serve)
            }
        }
    }

    /// An axum server in a runtime of its own, which [`Server::end_runtime`] ends.
    pub fn start_apart(watched: &Watched, gate: &Gate) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a setting");
        let at = listener.local_addr().expect("an address");
        let router = router(watched, gate);
        let task = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            address: Address::Tcp(at),
            finish: None,
            task,
            runtime: Some(runtime),
            _dir: None,
        }
    }

    fn of(
        address: Address,
        finish: Option<oneshot::Sender<()>>,
        serve: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            address,
            finish,
            task: tokio::spawn(serve),
            runtime: None,
            _dir: None,
        }
    }

    /// Takes no more connections and waits for what is in flight.
    ///
    /// # Panics
    ///
    /// If this flavour cannot.
    pub async fn finish(mut self) {
        let finish = self.finish.take().expect("a server that can finish");
        let _ = finish.send(());
        self.task.await.expect("no panic");
    }

    /// Ends the server and, where it is bare, all its connections, whatever they are doing.
    pub fn abort(self) {
        self.task.abort();
    }

    /// Ends everything that runs in the server's own runtime.
    pub fn end_runtime(self) {
        self.runtime.expect("one of its own").shutdown_background();
    }

    /// The port.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn port(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(at) | Address::Tls(at) => *at,
            Address::Unix(path) => panic!("{} has no port", path.display()),
        }
    }
}

async fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    (listener, at)
}

fn unix(proved: bool, watched: &Watched, gate: &Gate) -> Server {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("lives.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let router = router(watched, gate);
    let address = Address::Unix(path);
    let mut server = if proved {
        let listener = watched.redhanded.listener(listener);
        let router = router.into_make_service_with_connect_info::<ClientAddress>();
        Server::of(address, None, async {
            axum::serve(listener, router).await.expect("it serves")
        })
    } else {
        Server::of(address, None, async {
            axum::serve(listener, router).await.expect("it serves")
        })
    };
    server._dir = Some(dir);
    server
}

/// A connection, and who is at its other end if it is watched.
type Accepted<IO> = (IO, Option<ClientAddress>);

fn connections(listener: TcpListener) -> impl Stream<Item = Accepted<TcpStream>> + Send {
    stream::unfold(listener, |listener| async {
        let (io, _) = listener.accept().await.expect("a connection");
        Some(((io, None), listener))
    })
}

fn watched_connections(
    listener: Listener<TcpListener>,
) -> impl Stream<Item = Accepted<WatchedIo<TcpStream>>> + Send {
    stream::unfold(listener, |listener| async {
        let (io, _) = listener.accept().await.expect("a connection");
        let client = io.client();
        Some(((io, Some(client)), listener))
    })
}

/// Serves every connection in a task of its own, all of which end with this one.
async fn accept<IO, S, B>(
    connections: impl Stream<Item = Accepted<IO>> + Send,
    tls: Option<TlsAcceptor>,
    service: S,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (mut connections, mut tasks) = (pin!(connections), JoinSet::new());
    while let Some((io, client)) = connections.next().await {
        // What HTTP/2 does not know in the task of a stream, it is told
        let service = service
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                if let Some(client) = client {
                    request.extensions_mut().insert(client);
                }
                request
            });
        let tls = tls.clone();
        tasks.spawn(async move {
            match tls {
                None => connection(io, service).await,
                Some(tls) => {
                    if let Ok(io) = tls.accept(io).await {
                        connection(io, service).await;
                    }
                }
            }
        });
        while tasks.try_join_next().is_some() {}
    }
}

/// Serves one connection in whatever protocol the client speaks.
async fn connection<IO, S, B>(io: IO, service: S)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let service = TowerToHyperService::new(service);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol();
    let serve = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
    // How a connection ends is the client's business here.
    let _ = serve.await;
}
