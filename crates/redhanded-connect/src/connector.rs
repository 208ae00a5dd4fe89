//! A connector that tells its call how far the connection has come.

use crate::BoxError;
use crate::target::authority;
use http::Uri;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use pin_project_lite::pin_project;
use redhanded_core::{Authority, Call, CallHandle, CallPhase, Failure};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// Any connector of hyper-util or tonic, watched.
///
/// The time from the beginning until the connection is there is `connect`, of the call that needs it
/// ([`Client`](crate::Client)), else of one of its own. [`Resolver`](crate::Resolver) and [`Tcp`](crate::Tcp)
/// within it tell more.
#[derive(Clone, Copy, Debug)]
pub struct Connector<C> {
    inner: C,
}

impl<C> Connector<C> {
    /// Watches `connector`.
    pub fn new(connector: C) -> Self {
        Self { inner: connector }
    }
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri, Response: Connection, Error: Into<BoxError>>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Connect<C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if let Some(call) = CallHandle::here() {
            return Connect::for_call(call, self.inner.call(uri));
        }
        match authority(&uri).map(Connect::<C::Future>::begin) {
            Some(call) => Connect::for_itself(call, || self.inner.call(uri)),
            None => Connect::for_nobody(self.inner.call(uri)),
        }
    }
}

pin_project! {
    /// A connection that is being made; see [`Connector`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Connect<F> {
        #[pin]
        inner: F,
        made_for: MadeFor,
    }
}

/// Whose connection it is.
#[derive(Debug)]
enum MadeFor {
    /// Somebody's call.
    Call(CallHandle),
    /// Nobody's: a call of its own.
    Itself(Option<Call>),
    /// Nobody knows where it goes.
    Nobody,
}

impl<F> Connect<F> {
    /// Watches what is made for the call that this thread works on.
    pub(crate) fn for_call(call: CallHandle, inner: F) -> Self {
        Self {
            inner,
            made_for: MadeFor::Call(call),
        }
    }

    /// A call of its own.
    pub(crate) fn begin(peer: Authority<'_>) -> Call {
        Call::begin_in(CallPhase::Connect, Call::CONNECTION, peer, None)
    }

    pub(crate) fn for_itself(call: Call, make: impl FnOnce() -> F) -> Self {
        Self {
            inner: call.within(make),
            made_for: MadeFor::Itself(Some(call)),
        }
    }

    pub(crate) fn for_nobody(inner: F) -> Self {
        Self {
            inner,
            made_for: MadeFor::Nobody,
        }
    }
}

impl<F, T, E> Future for Connect<F>
where
    F: Future<Output = Result<T, E>>,
    T: Connection,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let result = match &*this.made_for {
            MadeFor::Itself(Some(call)) => ready!(call.within(|| inner.poll(cx))),
            _ => ready!(inner.poll(cx)),
        };
        let result = result.map_err(Into::into);
        this.made_for.done(&result);
        Poll::Ready(result)
    }
}

impl MadeFor {
    fn done<T: Connection>(&mut self, result: &Result<T, BoxError>) {
        match (self, result) {
            // A pool may finish it in a task of its own when its call has found another one.
            (Self::Call(call), Ok(connection)) if call.is_here() => {
                // Whoever has tried addresses has told the right one.
                let remote = (!call.has_address()).then(|| remote(connection));
                call.connected(remote.flatten());
            }
            (Self::Itself(call), Ok(connection)) => {
                if let Some(call) = call.take() {
                    let remote = remote(connection);
                    let handle = call.handle();
                    handle.has_made_a_connection(remote);
                    // Who uses it does not tell, as far as anybody knows.
                    remote.inspect(|remote| handle.leaves_a_connection(*remote));
                    call.finish();
                }
            }
            (Self::Itself(call), Err(error)) => {
                if let Some(call) = call.take() {
                    call.fail_with(&**error);
                }
            }
            // The call itself fails with it.
            _ => {}
        }
    }
}

/// How an error of a connector is counted.
pub(crate) fn failure(error: &BoxError, phase: CallPhase) -> Failure {
    Failure::of(&**error, Some(phase))
}

/// The other end of a connection, where that has a socket's address.
fn remote(connection: &impl Connection) -> Option<SocketAddr> {
    let mut extensions = http::Extensions::new();
    connection.connected().get_extras(&mut extensions);
    extensions.get::<HttpInfo>().map(HttpInfo::remote_addr)
}
