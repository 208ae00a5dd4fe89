//! A host that does not even accept.

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// A host whose backlog is full: the kernel drops further SYNs, so that a connect hangs in
/// `SYN_SENT`. When it is dropped, those are refused.
#[derive(Debug)]
pub struct BlackHole {
    port: u16,
    _sockets: Vec<Socket>,
}

impl BlackHole {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// Where there are no sockets to be had.
    pub fn open() -> io::Result<Self> {
        let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None);
        let hole = tcp()?;
        hole.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        hole.listen(0)?;
        let address = hole.local_addr()?;
        let port = address
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)?
            .port();
        let mut sockets = vec![hole];
        for _ in 0..4 {
            let filler = tcp()?;
            filler.set_nonblocking(true)?;
            // In progress, which is an error to it.
            let _ = filler.connect(&address);
            sockets.push(filler);
        }
        Ok(Self {
            port,
            _sockets: sockets,
        })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
