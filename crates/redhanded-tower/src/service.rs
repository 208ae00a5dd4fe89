//! The service: opens a ticket per request.

use crate::body::WatchedBody;
use crate::copy::Copier;
use crate::future::ResponseFuture;
use http::{Request, Response};
use http_body::Body;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service whose requests are watched. Made by [`WatchLayer`](crate::WatchLayer).
#[derive(Clone, Copy, Debug)]
pub struct Watch<S> {
    inner: S,
    copier: &'static Copier,
}

impl<S> Watch<S> {
    pub(crate) fn new(inner: S, copier: &'static Copier) -> Self {
        Self { inner, copier }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Watch<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Response = Response<WatchedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let ticket = self.copier.open(&request);
        // Marked as a poll: a service may do its work here, before it returns a future.
        let inside = ticket.enter();
        let response = self.inner.call(request);
        inside.leave();
        ResponseFuture::new(response, ticket)
    }
}
