//! The response body: the request lives until this has ended or was dropped.

use bytes::Buf;
use http::{Response, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use redhanded_core::{BodyStage, Place, Ticket};
use redhanded_report::How;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A response body whose request is watched until it has ended or was dropped.
    #[derive(Debug)]
    pub struct WatchedBody<B> {
        #[pin]
        inner: B,
        ticket: Ticket,
    }
}

impl<B: Body> WatchedBody<B> {
    /// Wraps the body of `response`, which belongs to `ticket`.
    #[inline]
    pub(crate) fn of(response: Response<B>, mut ticket: Ticket) -> Response<Self> {
        let (left, stage) = match response.body().size_hint().exact() {
            Some(exact) => (Some(exact), BodyStage::Sized),
            None => (left_of(&response), stage_of(&response)),
        };
        ticket.responded(response.status().as_u16(), left, stage);
        response.map(|inner| Self { inner, ticket })
    }
}

/// What a stream has to send, as far as anybody says: hyper drops it after the last byte that a
/// `content-length` announces, and does not ask one that has ended before it began.
#[cold]
fn left_of<B: Body>(response: &Response<B>) -> Option<u64> {
    if response.body().is_end_stream() {
        return Some(0);
    }
    let length = response.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Streams that may rest for hours are told by what the response says of itself.
#[cold]
fn stage_of<B>(response: &Response<B>) -> BodyStage {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|v| v.as_bytes())
        .unwrap_or_default();
    let rests = [
        "text/event-stream",
        "application/grpc",
        "multipart/x-mixed-replace",
    ];
    let upgraded = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
    if upgraded
        || rests.iter().any(|r| {
            kind.get(..r.len())
                .is_some_and(|k| k.eq_ignore_ascii_case(r.as_bytes()))
        })
    {
        BodyStage::LongLived
    } else {
        BodyStage::Streaming
    }
}

impl<B: Body> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        this.ticket.asked();
        let place = Place::of(&*this.inner);
        let polled = this
            .ticket
            .poll(cx, place, |cx| this.inner.as_mut().poll_frame(cx));
        // Looked at in place: a frame is too big to be moved about.
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let (bytes, last) = match frame.data_ref() {
                    Some(data) => (data.remaining() as u64, this.inner.is_end_stream()),
                    // Nothing may follow trailers, and nobody asks
                    None => (0, frame.is_trailers()),
                };
                this.ticket.frame(bytes, last);
            }
            Poll::Ready(None) => this.ticket.end(How::Completed),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
