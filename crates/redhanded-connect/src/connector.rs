//! A connector that tells its call how far the connection has come.

use crate::BoxError;
use crate::target::Target;
use http::Uri;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use pin_project_lite::pin_project;
use redhanded_core::{Call, CallHandle, CallPhase, Failure};
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
        let target = Target::of(&uri);
        Connect::begin(target.as_ref(), || self.inner.call(uri))
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
    /// Begins to watch what `make` makes, for the call that this thread works on.
    pub(crate) fn begin(target: Option<&Target>, make: impl FnOnce() -> F) -> Self {
        if let Some(call) = CallHandle::here() {
            call.enter(CallPhase::Connect);
            return Self {
                inner: make(),
                made_for: MadeFor::Call(call),
            };
        }
        let Some(target) = target else {
            return Self {
                inner: make(),
                made_for: MadeFor::Nobody,
            };
        };
        let call = Call::begin(Call::CONNECTION, target.authority(), None);
        call.enter(CallPhase::Connect);
        Self {
            inner: call.within(make),
            made_for: MadeFor::Itself(Some(call)),
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
                call.connected(remote(connection));
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
