//! OTLP over gRPC (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>): one unary call, so its framing is five bytes
//! before a message, and its answer a number in the trailers.

use crate::answer::{self, Answer};
use crate::refusal::Refusal;
use crate::transport::Failure;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use prost::Message;
use std::time::Duration;

/// An answer to a batch of spans is a few bytes; what is longer is not for us.
const ANSWER: usize = 64 * 1024;

/// How the body is packed, in gRPC's words.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

/// Headers that every request has.
pub(crate) fn headers(headers: &mut HeaderMap, timeout: Duration) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // Without it a proxy may drop the trailers, and the answer with them.
    headers.insert(TE, HeaderValue::from_static("trailers"));
    // At most eight digits, which is more than a day.
    let ms = timeout.as_millis().min(99_999_999);
    if let Ok(value) = HeaderValue::from_str(&format!("{ms}m")) {
        headers.insert(HeaderName::from_static("grpc-timeout"), value);
    }
}

/// The message with its length before it.
pub(crate) fn framed(message: &[u8], compressed: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(u8::from(compressed));
    // A message is a few megabytes at most.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

pub(crate) async fn answer(response: Response<Incoming>) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let is_grpc = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|is| is.as_bytes().starts_with(b"application/grpc"));
    if head.status != StatusCode::OK || !is_grpc {
        return Ok(without_status(head.status));
    }
    // Who fails at once says so in the headers.
    if head.headers.contains_key(STATUS) {
        return Ok(with_status(&head.headers, &[]));
    }
    let body = Limited::new(body, ANSWER).collect().await?;
    let trailers = body.trailers().cloned().ok_or("no trailers")?;
    Ok(with_status(&trailers, &body.to_bytes()))
}

/// What does not speak gRPC, such as a proxy before the collector
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
fn without_status(status: StatusCode) -> Answer {
    match status.as_u16() {
        429 | 502..=504 => Answer::Later(None),
        status => Answer::Refused(Refusal::NotGrpc(status)),
    }
}

fn with_status(trailers: &HeaderMap, body: &[u8]) -> Answer {
    let code = trailers.get(STATUS).and_then(|code| code.to_str().ok());
    // Unknown, in gRPC's words.
    let code = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or(2);
    let refused = Answer::Refused(Refusal::Grpc(code));
    match code {
        0 => Answer::Taken {
            // We accept no packed answers; of one that is, nothing is known.
            rejected: match body {
                [0, _, _, _, _, message @ ..] => answer::rejected(message),
                _ => 0,
            },
        },
        // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
        1 | 4 | 10 | 11 | 14 | 15 => Answer::Later(retry_info(trailers)),
        // Resource exhausted: only one that says when there will be more of it comes back.
        8 => retry_info(trailers).map_or(refused, |after| Answer::Later(Some(after))),
        _ => refused,
    }
}

/// `google.rpc.Status`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// For how long the collector wants to be left alone.
fn retry_info(trailers: &HeaderMap) -> Option<Duration> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let details = base64.decode(trailers.get(DETAILS)?).ok()?;
    let status = Status::decode(&details[..]).ok()?;
    let info = status
        .details
        .iter()
        .find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&info.value[..]).ok()?.delay?;
    let seconds = u64::try_from(delay.seconds).unwrap_or(0);
    let nanos = u32::try_from(delay.nanos).unwrap_or(0).min(999_999_999);
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(code: &str, retry: Option<(i64, i32)>) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, code.parse().unwrap());
        if let Some((seconds, nanos)) = retry {
            let delay = Some(Delay { seconds, nanos });
            let detail = Detail {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { delay }.encode_to_vec(),
            };
            let details = vec![Detail::default(), detail];
            let status = Status { details }.encode_to_vec();
            let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
            trailers.insert(DETAILS, text.parse().unwrap());
        }
        trailers
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        for code in 0..=20 {
            let bare = with_status(&trailers(&code.to_string(), None), &[]);
            let expected = match code {
                0 => Answer::Taken { rejected: 0 },
                1 | 4 | 10 | 11 | 14 | 15 => Answer::Later(None),
                _ => Answer::Refused(Refusal::Grpc(code)),
            };
            assert_eq!(bare, expected, "{code}");
            let later = with_status(&trailers(&code.to_string(), Some((2, 500_000_000))), &[]);
            if matches!(code, 1 | 4 | 8 | 10 | 11 | 14 | 15) {
                assert_eq!(later, Answer::Later(Some(Duration::from_millis(2500))));
            } else {
                assert_eq!(later, expected, "{code}");
            }
        }
        let unknown = Answer::Refused(Refusal::Grpc(2));
        assert_eq!(with_status(&trailers("-1", None), &[]), unknown);
        assert_eq!(with_status(&HeaderMap::new(), &[]), unknown);
    }

    #[test]
    fn garbage_in_the_details_is_no_delay() {
        for garbage in ["%%%", "AAAA", "", "CgE"] {
            let mut trailers = trailers("8", None);
            trailers.insert(DETAILS, garbage.parse().unwrap());
            let refused = Answer::Refused(Refusal::Grpc(8));
            assert_eq!(with_status(&trailers, &[]), refused, "{garbage}");
        }
        let negative = with_status(&trailers("8", Some((-5, -1))), &[]);
        assert_eq!(negative, Answer::Later(Some(Duration::ZERO)));
    }

    #[test]
    fn a_message_has_its_length_before_it() {
        assert_eq!(&framed(b"abc", false)[..], b"\0\0\0\0\x03abc");
        assert_eq!(&framed(b"", true)[..], b"\x01\0\0\0\0");
        let partial = framed(&[0x0a, 0x02, 0x08, 0x03], false);
        let taken = with_status(&trailers("0", None), &partial);
        assert_eq!(taken, Answer::Taken { rejected: 3 });
        for garbage in [
            &b""[..],
            b"\0\0",
            b"\x01\0\0\0\x04\x0a\x02\x08\x03",
            b"<html>",
        ] {
            let taken = with_status(&trailers("0", None), garbage);
            assert_eq!(taken, Answer::Taken { rejected: 0 });
        }
    }
}
