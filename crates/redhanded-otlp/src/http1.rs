//! OTLP over HTTP with protobuf (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>): what a request has, and what
//! an answer means.

use crate::answer::{self, Answer};
use crate::refusal::Refusal;
use crate::transport::Failure;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// An answer to a batch of spans is a few bytes; what is longer is not for us.
const ANSWER: usize = 64 * 1024;
/// Once the collector has said that it took the batch, the rest is worth no more than this.
const REST: Duration = Duration::from_secs(1);

/// Headers that every request has.
pub(crate) fn headers(headers: &mut HeaderMap) {
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert(CONTENT_TYPE, protobuf);
}

pub(crate) async fn answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    let status = response.status();
    if status.is_success() {
        // It is taken, whatever becomes of the rest of the answer.
        let body = timeout(REST, Limited::new(response.into_body(), ANSWER).collect()).await;
        let body = body.ok().and_then(Result::ok);
        let rejected = body.map_or(0, |body| answer::rejected(&body.to_bytes()));
        return Ok(Answer::Taken { rejected });
    }
    // A redirect is refused like all the rest: credentials go where they were sent to.
    Ok(match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = response.headers().get(RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok());
            Answer::Later(after.and_then(answer::retry_after))
        }
        status => Answer::Refused(Refusal::Http(status.as_u16())),
    })
}
