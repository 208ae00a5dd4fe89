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

    /// What it listens on, for people.
    fn name(&self) -> String;

    /// The number of its descriptor, where there is such a thing.
    fn number(&self) -> Option<i32>;
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
    fn name(&self) -> String {
        self.local_addr()
            .map_or_else(|_| "a TCP socket".to_owned(), |address| address.to_string())
    }
    #[cfg(unix)]
    fn number(&self) -> Option<i32> {
        Some(std::os::fd::AsRawFd::as_raw_fd(self))
    }
    #[cfg(not(unix))]
    fn number(&self) -> Option<i32> {
        None
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
        fn name(&self) -> String {
            let address = self.local_addr().ok();
            let path = address.as_ref().and_then(|a| a.as_pathname());
            path.map_or_else(
                || "a Unix socket".to_owned(),
                |path| path.display().to_string(),
            )
        }
        fn number(&self) -> Option<i32> {
            Some(std::os::fd::AsRawFd::as_raw_fd(self))
        }
    }
}
