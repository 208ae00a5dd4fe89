//! Routes that may rest for hours, told from inside.

use redhanded_core::Current;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Lets the requests of one route rest for hours: a long poll cannot be told from a hang by anybody
/// but its author. They are overdue only when one of their polls does not return.
///
/// Put it on the route, below the layer that watches; without that it does nothing. Event streams,
/// gRPC and other streaming bodies need it not: they are recognised.
///
/// ```
/// use redhanded_tower::LongLivedLayer;
/// use tower_layer::Layer;
///
/// let poll = tower::service_fn(|_: http::Request<()>| async { Ok::<_, std::io::Error>(http::Response::new(())) });
/// let poll = LongLivedLayer::new().layer(poll);
/// # let _ = poll;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LongLivedLayer(());

impl LongLivedLayer {
    /// A layer for one route.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for LongLivedLayer {
    type Service = LongLived<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LongLived { inner }
    }
}

/// A service whose requests may rest for hours. Made by [`LongLivedLayer`].
#[derive(Clone, Copy, Debug)]
pub struct LongLived<S> {
    inner: S,
}

impl<S: Service<R>, R> Service<R> for LongLived<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        Current::here().set_long_lived();
        self.inner.call(request)
    }
}
