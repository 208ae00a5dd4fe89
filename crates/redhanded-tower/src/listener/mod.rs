//! ① A listener whose connections are watched: who the client is, whether it is gone, and whether
//! it ever sends a whole request.

#[cfg(feature = "axum")]
mod axum;
mod heads;
mod io;
mod socket;

pub use io::WatchedIo;
pub use socket::Listening;

use redhanded_core::connection::Client;
use redhanded_core::{Accepting, Engine};
use std::future::{Future, poll_fn};
use std::io::Result;
use std::net::SocketAddr;
use std::pin::pin;

/// A listener that watches its connections. Made by `Redhanded::listener`.
///
/// Give it to `axum::serve` (feature `axum`), or accept by hand, for hyper or below TLS:
///
/// ```no_run
/// # async fn serve(listener: redhanded_tower::Listener<tokio::net::TcpListener>) -> std::io::Result<()> {
/// loop {
///     let (io, address) = listener.accept().await?;
///     # let _ = address;
///     tokio::spawn(async move {
///         // serve_connection(TokioIo::new(io), …)
///         # drop(io);
///     });
/// }
/// # }
/// ```
///
/// What it sees are the bytes on the wire. Below TLS that is the handshake; a head that comes in
/// part within TLS or HTTP/2 is not seen.
#[derive(Debug)]
pub struct Listener<L> {
    engine: &'static Engine,
    // Before the socket: who looks at it must be told first that it is closed
    accepting: Accepting,
    inner: L,
}

impl<L: Listening> Listener<L> {
    /// A listener whose slow heads and waiting connections are reported by `engine`.
    pub fn new(engine: &'static Engine, inner: L) -> Self {
        let accepting = Accepting::new(engine, inner.name(), inner.number());
        Self {
            engine,
            accepting,
            inner,
        }
    }

    /// Accepts a connection. Cancel safe, and may wait in several tasks at once, as the socket's own.
    ///
    /// # Errors
    ///
    /// Those of the socket. Most say that one client was gone before it was served, or that the
    /// process has no descriptor left: a server goes on after a while, and does not end.
    pub async fn accept(&self) -> Result<(WatchedIo<L::Io>, L::Address)> {
        let inside = self.accepting.enter();
        let mut accept = pin!(self.inner.accept());
        let accepted = poll_fn(|cx| {
            inside.polled();
            accept.as_mut().poll(cx)
        })
        .await;
        inside.done(&accepted);
        let (io, address) = accepted?;
        let client = L::client(&address);
        Ok((WatchedIo::new(io, client, self.engine), address))
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn local_addr(&self) -> Result<L::Address> {
        self.inner.local_address()
    }

    /// The socket itself, for its options. What is accepted from it is not watched.
    pub fn get_ref(&self) -> &L {
        &self.inner
    }

    /// The socket itself, watched no more.
    pub fn into_inner(self) -> L {
        self.inner
    }
}

impl<L> AsRef<L> for Listener<L> {
    fn as_ref(&self) -> &L {
        &self.inner
    }
}

/// The client of a connection that a [`Listener`] has accepted.
///
/// Requests find it by themselves where the server calls its service in the connection's own task:
/// always with HTTP/1. With HTTP/2 most servers, `axum::serve` among them, give each stream a task of
/// its own; there it is to stand in the request's extensions. With axum:
///
#[cfg_attr(feature = "axum", doc = "```no_run")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// # async fn serve(listener: redhanded_tower::Listener<tokio::net::TcpListener>, app: axum::Router) -> std::io::Result<()> {
/// use redhanded_tower::ClientAddress;
/// let app = app.into_make_service_with_connect_info::<ClientAddress>();
/// axum::serve(listener, app).await
/// # }
/// ```
///
/// and in a loop of one's own `request.extensions_mut().insert(client)`, with
/// [`client`](WatchedIo::client) of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub(crate) Client);

impl ClientAddress {
    /// The address; none for a Unix socket.
    pub fn get(&self) -> Option<SocketAddr> {
        self.0.address()
    }
}
