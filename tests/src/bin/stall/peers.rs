//! Hosts that do not answer, on the loop-back.

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// A host that accepts connections and never says a word. Its address is told to the test.
pub(crate) fn silent() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let connections: Vec<_> = listener.incoming().collect();
        drop(connections);
    });
    crate::tell("peer", address);
    Ok(address)
}

/// A host that accepts connections, says that it will send nothing, and reads nothing. Its address is told to the test.
pub(crate) fn half_closed() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let closed = |stream: &TcpStream| stream.shutdown(std::net::Shutdown::Write).is_ok();
        let connections: Vec<_> = listener.incoming().flatten().filter(closed).collect();
        drop(connections);
    });
    crate::tell("peer", address);
    Ok(address)
}

/// A host whose backlog is full: the kernel drops further SYNs, so that a connect hangs in
/// `SYN_SENT`. Its address is told to the test.
pub(crate) fn black_hole() -> io::Result<SocketAddr> {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None);
    let hole = tcp()?;
    hole.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    hole.listen(0)?;
    let address = hole
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    for _ in 0..4 {
        let filler = tcp()?;
        filler.set_nonblocking(true)?;
        // In progress, which is an error to it
        let _ = filler.connect(&address.into());
        std::mem::forget(filler);
    }
    std::mem::forget(hole);
    crate::tell("peer", address);
    Ok(address)
}
