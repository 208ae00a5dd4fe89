//! A connection whose reads and writes say whether its client is there, and whether a request has
//! begun to come.

use super::ClientAddress;
use super::heads::{Awaited, Heads};
use pin_project_lite::pin_project;
use redhanded_core::connection::Connection;
use redhanded_core::{Engine, Ticket};
use redhanded_report::How;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pin_project! {
    /// One accepted connection. Reads and writes like the one inside; made by
    /// [`Listener::accept`](crate::Listener::accept).
    #[derive(Debug)]
    pub struct WatchedIo<S> {
        #[pin]
        inner: S,
        engine: &'static Engine,
        heads: Heads,
        // What is awaited of the client, once that was noticed. Before the connection: when it is
        // dropped, it asks whether the client is gone
        awaited: Option<Ticket>,
        // We said that we write no more: what fails after that says nothing of the client
        shut: bool,
        connection: Connection,
    }
}

impl<S> WatchedIo<S> {
    pub(super) fn new(inner: S, client: Option<SocketAddr>, engine: &'static Engine) -> Self {
        Self {
            inner,
            engine,
            heads: Heads::new(),
            awaited: None,
            shut: false,
            connection: Connection::new(client),
        }
    }

    /// Who is at the other end, and which connection this is; see [`ClientAddress`].
    pub fn client(&self) -> ClientAddress {
        ClientAddress(self.connection.client())
    }

    /// The connection itself, for its options.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The connection itself. What is read or written through it is not seen.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The connection itself, watched no more.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> AsRef<S> for WatchedIo<S> {
    fn as_ref(&self) -> &S {
        &self.inner
    }
}

/// The client's own doing, or its host's. A connection that we ended ourselves fails otherwise.
fn says_gone(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::BrokenPipe,
        // Of the system: nothing was acknowledged for too long
        ErrorKind::TimedOut,
    ];
    error.raw_os_error().is_some() && kinds.contains(&error.kind())
}

/// The parts that the bytes concern.
struct Seen<'a> {
    engine: &'static Engine,
    heads: &'a mut Heads,
    awaited: &'a mut Option<Ticket>,
    connection: &'a Connection,
}

impl Seen<'_> {
    #[inline]
    fn read(&mut self, bytes: &[u8]) {
        self.heads.read(bytes, || self.connection.has_request());
        if self.awaited.is_some() {
            self.connection.received(self.heads.received());
            if self.heads.awaited().is_none() {
                self.answered(How::Completed);
            }
        }
    }

    #[inline]
    fn wrote(&mut self, bytes: &[u8]) {
        self.heads.wrote(bytes);
        if self.awaited.is_some() && self.heads.awaited().is_none() {
            self.answered(How::Dropped); // it was given up
        }
    }

    fn answered(&mut self, how: How) {
        if let Some(mut ticket) = self.awaited.take() {
            ticket.end(how);
        }
    }

    /// Nothing is there to be read. Not the way of most polls that come to something.
    #[inline]
    fn nothing_to_read(&mut self) {
        if let Some(what) = self.heads.awaited()
            && self.awaited.is_none()
        {
            self.begin_to_wait(what);
        }
    }

    #[cold]
    fn begin_to_wait(&mut self, what: Awaited) {
        self.connection.received(self.heads.received());
        self.connection.set_handshake(what == Awaited::Handshake);
        *self.awaited = self.engine.open_head(self.connection);
    }
}

macro_rules! seen {
    ($this:expr) => {
        Seen {
            engine: $this.engine,
            heads: $this.heads,
            awaited: $this.awaited,
            connection: $this.connection,
        }
    };
}

impl<S: AsyncRead> AsyncRead for WatchedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        this.connection.polled();
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = this.inner.poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) => match buf.filled().get(before..).unwrap_or_default() {
                [] if room > 0 => this.connection.gone(),
                [] => {}
                bytes => seen!(this).read(bytes),
            },
            Poll::Ready(Err(error)) if says_gone(error) => this.connection.gone(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => seen!(this).nothing_to_read(),
        }
        polled
    }
}

impl<S> WatchedIo<S> {
    /// What came of a write that began with `first`.
    #[inline]
    fn written(self: Pin<&mut Self>, first: &[u8], polled: &Poll<io::Result<usize>>) {
        let this = self.project();
        match polled {
            Poll::Ready(Ok(n)) => {
                seen!(this).wrote(first.get(..first.len().min(*n)).unwrap_or_default());
            }
            Poll::Ready(Err(error)) if says_gone(error) && !*this.shut => this.connection.gone(),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }
}

impl<S: AsyncWrite> AsyncWrite for WatchedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.as_mut().project();
        this.connection.polled();
        let polled = this.inner.poll_write(cx, buf);
        self.written(buf, &polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.as_mut().project();
        this.connection.polled();
        let polled = this.inner.poll_write_vectored(cx, bufs);
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.written(first.map_or(&[], |buf| buf), &polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.connection.polled();
        this.inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.connection.polled();
        *this.shut = true;
        this.inner.poll_shutdown(cx)
    }
}
