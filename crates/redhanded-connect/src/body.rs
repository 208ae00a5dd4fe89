//! Bodies that tell their call how much has moved.

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use redhanded_core::{Call, CallHandle};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A request's body: while it is asked for, its call is in `write`.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        call: Option<CallHandle>,
    }
}

impl<B: Body> RequestBody<B> {
    pub(crate) fn new(inner: B, call: CallHandle) -> Self {
        let is_empty = inner.is_end_stream();
        Self {
            inner,
            call: (!is_empty).then_some(call),
        }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        if let Some(call) = this.call {
            call.writing();
        }
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if let Some(call) = this.call {
            let data = frame
                .as_ref()
                .and_then(|frame| frame.as_ref().ok()?.data_ref());
            if let Some(data) = data {
                call.sent(data.remaining() as u64);
            }
            if frame.is_none() || inner.is_end_stream() {
                call.written();
                *this.call = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// An answer's body: its call is in `read_body`, and is over when this is read to its end or dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(crate) fn new(inner: B, mut call: Option<Call>) -> Self {
        if inner.is_end_stream() {
            finish(&mut call);
        }
        Self { inner, call }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Error: Error + 'static>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        if let Some(call) = this.call {
            call.polled();
        }
        let frame = ready!(inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(call), Some(data)) = (&*this.call, frame.data_ref()) {
                    call.received(data.remaining() as u64);
                }
                // Who knows that this was the last one need not ask for another.
                if inner.is_end_stream() {
                    finish(this.call);
                }
            }
            Some(Err(error)) => {
                if let Some(call) = this.call.take() {
                    call.fail_with(error);
                }
            }
            None => finish(this.call),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn finish(call: &mut Option<Call>) {
    if let Some(call) = call.take() {
        call.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};
    use redhanded_core::{Authority, CallPhase};

    fn call() -> Call {
        let host = Authority::new("bodies.test", Some(80));
        Call::begin_in(CallPhase::Pool, "http", host, None)
    }

    #[tokio::test]
    async fn a_request_is_written_until_its_body_has_been_asked_for() {
        let call = call();
        call.owes_body();
        let mut body = RequestBody::new(Full::new(Bytes::from_static(b"rows")), call.handle());
        call.handle().connected(None);
        assert_eq!(call.phase(), Some(CallPhase::Write));
        assert!(body.frame().await.is_some());
        assert_eq!(call.phase(), Some(CallPhase::WaitHeaders), "that was all");
    }

    #[tokio::test]
    async fn who_asks_for_a_body_has_a_connection() {
        let call = call();
        call.owes_body();
        // Its length is not known, so that the end comes after the last piece.
        let (mut send, pieces) = http_body_util::channel::Channel::<Bytes>::new(1);
        send.send_data(Bytes::from_static(b"rows"))
            .await
            .expect("has room");
        let mut body = RequestBody::new(pieces, call.handle());
        assert!(body.frame().await.is_some());
        assert_eq!(call.phase(), Some(CallPhase::Write));
    }

    #[test]
    fn a_request_without_a_body_writes_nothing() {
        let call = call();
        let body = RequestBody::new(Empty::<Bytes>::new(), call.handle());
        assert!(body.is_end_stream() && body.call.is_none());
        call.handle().connected(None);
        assert_eq!(call.phase(), Some(CallPhase::WaitHeaders));
    }
}
