//! What a collector says to a request, whatever the protocol.

use crate::refusal::Refusal;
use std::time::{Duration, SystemTime};

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken, but for this many spans.
    Taken { rejected: u64 },
    /// Not now; perhaps after that time, if the collector named one.
    Later(Option<Duration>),
    /// Never: the collector does not want it.
    Refused(Refusal),
}

/// `rejected_spans` of an `Export…ServiceResponse`.
///
/// Those of traces, metrics and logs look alike on the wire, and of what is no such message nothing is known to be
/// rejected.
pub(crate) fn rejected(body: &[u8]) -> u64 {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Response {
        #[prost(message, optional, tag = "1")]
        partial_success: Option<PartialSuccess>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct PartialSuccess {
        #[prost(int64, tag = "1")]
        rejected: i64,
    }
    let response = <Response as prost::Message>::decode(body).unwrap_or_default();
    response
        .partial_success
        .map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0))
}

/// What `Retry-After` says: seconds, or a date. A date that has passed is now.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let after = retry_after(&date).unwrap();
        assert!((90..=100).contains(&after.as_secs()), "{after:?}");
        let passed = retry_after("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(passed, Some(Duration::ZERO));
        for bad in ["soon", "-1", "1.5", "", "99999999999999999999"] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }

    #[test]
    fn garbage_rejects_nothing() {
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"<html>"), 0);
        assert_eq!(rejected(&[0x0a, 0x02, 0x08, 0x03]), 3);
        let negative = [
            0x0a, 0x0b, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1,
        ];
        assert_eq!(rejected(&negative), 0);
    }
}
