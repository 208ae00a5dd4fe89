//! A resolver that tells its call that it waits for a name.

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use pin_project_lite::pin_project;
use redhanded_core::{CallHandle, CallPhase};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// Any resolver of hyper-util, watched: while it works, its call is in `dns`.
///
/// ```
/// use hyper_util::client::legacy::connect::HttpConnector;
/// let http = HttpConnector::new_with_resolver(redhanded_connect::Resolver::default());
/// # let _ = http;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Resolver<R = GaiResolver> {
    inner: R,
}

impl<R> Resolver<R> {
    /// Watches `resolver`.
    pub fn new(resolver: R) -> Self {
        Self { inner: resolver }
    }
}

impl Default for Resolver {
    /// The system's resolver.
    fn default() -> Self {
        Self::new(GaiResolver::new())
    }
}

impl<R: Service<Name>> Service<Name> for Resolver<R> {
    type Response = R::Response;
    type Error = R::Error;
    type Future = Resolving<R::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Resolving::begin(|| self.inner.call(name))
    }
}

pin_project! {
    /// A name that is being resolved; see [`Resolver`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Resolving<F> {
        #[pin]
        inner: F,
    }
}

impl<F> Resolving<F> {
    pub(crate) fn begin(make: impl FnOnce() -> F) -> Self {
        if let Some(call) = CallHandle::here() {
            call.enter(CallPhase::Dns);
        }
        Self { inner: make() }
    }
}

impl<F, T, E> Future for Resolving<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        // A failure is one of this phase, which it is left in.
        if let (Some(call), true) = (CallHandle::here(), result.is_ok()) {
            call.enter(CallPhase::Connect);
        }
        Poll::Ready(result)
    }
}
