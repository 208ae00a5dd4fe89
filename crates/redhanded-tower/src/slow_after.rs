//! Another threshold for one route, from inside.

use redhanded_core::Current;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Gives the requests of one route another threshold.
///
/// Put it on the route, below the layer that watches; without that it does nothing.
///
/// ```
/// use redhanded_tower::SlowAfterLayer;
/// use std::time::Duration;
/// use tower_layer::Layer;
///
/// let export = tower::service_fn(|_: http::Request<()>| async { Ok::<_, std::io::Error>(http::Response::new(())) });
/// let export = SlowAfterLayer::new(Duration::from_secs(60)).layer(export);
/// # let _ = export;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SlowAfterLayer {
    slow_after: Duration,
}

impl SlowAfterLayer {
    /// Requests below are reported when they run longer than `slow_after`; zero is taken as one
    /// millisecond.
    pub fn new(slow_after: Duration) -> Self {
        Self {
            slow_after: slow_after.max(Duration::from_millis(1)),
        }
    }
}

impl<S> Layer<S> for SlowAfterLayer {
    type Service = SlowAfter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SlowAfter {
            inner,
            slow_after: self.slow_after,
        }
    }
}

/// A service with another threshold. Made by [`SlowAfterLayer`].
#[derive(Clone, Copy, Debug)]
pub struct SlowAfter<S> {
    inner: S,
    slow_after: Duration,
}

impl<S: Service<R>, R> Service<R> for SlowAfter<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        Current::here().set_slow_after(self.slow_after);
        self.inner.call(request)
    }
}
