//! The sockets that a listener takes.

use std::future::Future;
use std::io::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A socket that listens: tokio's `TcpListener` and, on Unix, `UnixListener`.
///
/// Sealed: what a listener needs to know of its socket may grow.
pub trait Listening: sealed::Sealed + Send + Sync + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// An address of either end.
    type Address: std::fmt::Debug + Send + 'static;

    /// Accepts a connection.
    fn accept(&self) -> impl Future<Output = Result<(Self::Io, Self::Address)>> + Send;

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    fn local_address(&self) -> Result<Self::Address>;

    /// The client's address as a report says it; none where there is no such thing.
    fn client(address: &Self::Address) -> Option<SocketAddr>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for TcpListener {}

impl Listening for TcpListener {
    type Io = TcpStream;
    type Address = SocketAddr;

    async fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }
    fn local_address(&self) -> Result<SocketAddr> {
        self.local_addr()
    }
    fn client(address: &SocketAddr) -> Option<SocketAddr> {
        Some(*address)
    }
}

#[cfg(unix)]
mod unix {
    use super::{Listening, Result, SocketAddr, sealed};
    use tokio::net::{UnixListener, UnixStream, unix};

    impl sealed::Sealed for UnixListener {}

    impl Listening for UnixListener {
        type Io = UnixStream;
        type Address = unix::SocketAddr;

        async fn accept(&self) -> Result<(UnixStream, unix::SocketAddr)> {
            UnixListener::accept(self).await
        }
        fn local_address(&self) -> Result<unix::SocketAddr> {
            self.local_addr()
        }
        fn client(_: &unix::SocketAddr) -> Option<SocketAddr> {
            None
        }
    }
}
