//! The world outside of the site, in this process: a thumbnail store and two remote hosts. Threads
//! of their own, so that the site's troubles are the site's alone.

use hyper_util::client::legacy::connect::dns::Name;
use socket2::{Domain, Socket, Type};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{BufRead, BufReader, Error, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// The store never answers for this user: the disk with that thumbnail hangs.
pub(crate) const NO_ANSWER_FOR: &str = "mallory";
/// A remote host that answers.
pub(crate) const FRIENDLY: &str = "friendly.example";
/// A remote host whose packets are dropped.
pub(crate) const SWALLOWED: &str = "swallowed.example";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a name server would know; a client's resolver, too.
#[derive(Clone)]
pub(crate) struct Hosts {
    friendly: SocketAddr,
    swallowed: SocketAddr,
    /// The queue is full as long as these are open.
    _fillers: Arc<(Socket, Vec<TcpStream>)>,
}

impl Hosts {
    pub(crate) fn start() -> std::io::Result<Self> {
        let friendly = answering_host()?;
        let (swallowed, fillers) = swallowing_host()?;
        Ok(Self {
            friendly,
            swallowed,
            _fillers: Arc::new(fillers),
        })
    }

    pub(crate) fn resolve(&self, name: &str) -> Option<SocketAddr> {
        match name {
            FRIENDLY => Some(self.friendly),
            SWALLOWED => Some(self.swallowed),
            _ => None,
        }
    }
}

impl Service<Name> for Hosts {
    type Response = std::option::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        ready(Ok(self.resolve(name.as_str()).into_iter()))
    }
}

/// A store that blocks its clients: a line in, a line out.
pub(crate) fn thumbnail_store() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(LOOPBACK)?;
    let address = listener.local_addr()?;
    spawn("thumbnail-store", move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A client that cannot be served is dropped, and sees that.
            let _ = spawn("thumbnail-client", move || drop(serve_thumbnails(client)));
        }
    })?;
    Ok(address)
}

fn serve_thumbnails(mut client: TcpStream) -> std::io::Result<()> {
    let mut asked = BufReader::new(client.try_clone()?).lines();
    while let Some(line) = asked.next().transpose()? {
        let user = line.strip_prefix("THUMBNAIL ").unwrap_or_default();
        if user != NO_ANSWER_FOR {
            client.write_all(format!("thumbnail of {user}\n").as_bytes())?;
        }
    }
    Ok(())
}

fn answering_host() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(LOOPBACK)?;
    let address = listener.local_addr()?;
    spawn(FRIENDLY, move || {
        for client in listener.incoming().map_while(Result::ok) {
            let _ = answer(client);
        }
    })?;
    Ok(address)
}

fn answer(mut client: TcpStream) -> std::io::Result<()> {
    let mut asked = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    // Up to the empty line that ends the head.
    while asked.read_line(&mut line)? > 2 {
        line.clear();
    }
    // HTTP/1.0: the answer ends where the connection does, so no pool keeps it.
    client.write_all(
        b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"software\":\"identica\"}\n",
    )
}

/// A listener that accepts nothing and whose queue is full: the kernel drops further SYN packets,
/// as a dead node does. No packet leaves this machine.
fn swallowing_host() -> std::io::Result<(SocketAddr, (Socket, Vec<TcpStream>))> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&LOOPBACK.into())?;
    listener.listen(0)?;
    let address = listener
        .local_addr()?
        .as_socket()
        .ok_or_else(|| Error::other("a listener without an address"))?;
    let mut fillers = Vec::new();
    // How many fit depends on the kernel: the first that gets no answer shows that it is full.
    while fillers.len() < 64 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(filler) => fillers.push(filler),
            Err(_) => return Ok((address, (listener, fillers))),
        }
    }
    Err(Error::other("this kernel's accept queue cannot be filled"))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
}
