//! The surface of `grpc` where it is not built in: no endpoint has that protocol then.

use crate::answer::Answer;
use crate::transport::Failure;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};
use hyper::body::Incoming;
use std::time::Duration;

pub(crate) const ENCODING: HeaderName = http::header::CONTENT_ENCODING;

pub(crate) fn headers(_: &mut HeaderMap, _: Duration) {}

pub(crate) fn framed(message: &[u8], _: bool) -> Bytes {
    Bytes::copy_from_slice(message)
}

pub(crate) async fn answer(_: Response<Incoming>) -> Result<Answer, Failure> {
    Err("this build has no gRPC".into())
}
