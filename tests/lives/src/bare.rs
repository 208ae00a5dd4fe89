//! A bare hyper server around a watched tower service, without any framework.

use crate::ON_PURPOSE;
use crate::answer::{Failure, answer};
use crate::frames::Frames;
use crate::gate::Gate;
use crate::install::Watched;
use http::{Request, Response};
use hyper::body::Incoming;
use redhanded::WatchedBody;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::timeout::Timeout;
use tower::{BoxError, Layer, Service};

/// What is asked below `/late` is dropped after this time.
const LATE: Duration = Duration::from_millis(25);

type Pinned<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

/// The service inside of our layer.
#[derive(Clone)]
struct Inner {
    gate: Gate,
}

impl Service<Request<Incoming>> for Inner {
    type Response = Response<Frames>;
    type Error = Failure;
    type Future = Pinned<Self::Response, Failure>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path() == "/panic_call" {
            std::panic::panic_any(ON_PURPOSE);
        }
        Box::pin(answer(request, self.gate.clone()))
    }
}

/// The watched service, and the same with a time-out outside of it.
#[derive(Clone)]
pub(crate) struct Bare {
    watched: redhanded::Watch<Inner>,
    late: Timeout<redhanded::Watch<Inner>>,
}

impl Bare {
    pub(crate) fn new(watched: &Watched, gate: &Gate) -> Self {
        let inner = Inner { gate: gate.clone() };
        let watched = watched.layer().layer(inner);
        let late = Timeout::new(watched.clone(), LATE);
        Self { watched, late }
    }
}

impl Service<Request<Incoming>> for Bare {
    type Response = Response<WatchedBody<Frames>>;
    type Error = BoxError;
    type Future = Pinned<Self::Response, BoxError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path().starts_with("/late/") {
            return Box::pin(self.late.call(request));
        }
        let answer = self.watched.call(request);
        Box::pin(async { Ok(answer.await?) })
    }
}
