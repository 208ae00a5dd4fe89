//! The response future: each poll marked, the ticket handed on to the body.

use crate::body::WatchedBody;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use redhanded_core::{Place, Ticket};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The response of a watched request, on its way.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // Before the ticket: what the handler's future does when it is dropped belongs to the request
        #[pin]
        inner: F,
        ticket: Ticket,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, ticket: Ticket) -> Self {
        Self { inner, ticket }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<WatchedBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let place = Place::of(&*this.inner);
        let response = ready!(this.ticket.poll(cx, place, |cx| this.inner.poll(cx)));
        let mut ticket = std::mem::take(this.ticket);
        Poll::Ready(match response {
            Ok(response) => Ok(WatchedBody::of(response, ticket)),
            Err(error) => {
                // The service answered, if only with an error: nothing of this request is left.
                ticket.fail();
                Err(error)
            }
        })
    }
}
