//! A collector that refuses what it is sent, told once for as long as it does.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A collector that refuses and takes by turns is told of no more often than this.
const SELDOM: Duration = Duration::from_secs(60);

/// With what a collector has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A status of HTTP.
    Http(u16),
    /// A status of gRPC.
    #[cfg_attr(
        not(any(feature = "grpc", test)),
        expect(dead_code, reason = "without gRPC nobody answers so")
    )]
    Grpc(u32),
    /// An answer that is no answer of gRPC.
    #[cfg_attr(
        not(any(feature = "grpc", test)),
        expect(dead_code, reason = "without gRPC nobody answers so")
    )]
    NotGrpc(u16),
}

impl Refusal {
    /// What would be accepted, as far as the answer tells.
    fn accepted(self) -> &'static str {
        match self {
            Self::Http(401 | 403 | 407) | Self::NotGrpc(401 | 403 | 407) | Self::Grpc(7 | 16) => {
                "accepted are credentials, as OTEL_EXPORTER_OTLP_HEADERS carries them: authorization=Bearer%20TOKEN"
            }
            Self::Http(300..=399) | Self::NotGrpc(300..=399) => {
                "a redirect is not followed: OTEL_EXPORTER_OTLP_ENDPOINT has to be where it leads"
            }
            Self::Http(404 | 405 | 415) | Self::NotGrpc(_) | Self::Grpc(12) => {
                "accepted is an OTLP receiver at OTEL_EXPORTER_OTLP_ENDPOINT that speaks OTEL_EXPORTER_OTLP_PROTOCOL"
            }
            Self::Http(413) | Self::Grpc(8) => {
                "accepted are smaller requests: the receiver's limit has to be 2 MiB at least"
            }
            _ => "the collector's own log says why",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = |status: u16| {
            let known = http::StatusCode::from_u16(status).ok();
            known
                .and_then(|status| status.canonical_reason())
                .unwrap_or("")
        };
        match self {
            Self::Http(code) => write!(f, "HTTP {code} {}", status(*code)),
            Self::NotGrpc(code) => write!(f, "HTTP {code} {} where gRPC was spoken", status(*code)),
            Self::Grpc(7) => f.write_str("gRPC 7 PERMISSION_DENIED"),
            Self::Grpc(8) => f.write_str("gRPC 8 RESOURCE_EXHAUSTED"),
            Self::Grpc(12) => f.write_str("gRPC 12 UNIMPLEMENTED"),
            Self::Grpc(16) => f.write_str("gRPC 16 UNAUTHENTICATED"),
            Self::Grpc(code) => write!(f, "gRPC status {code}"),
        }
    }
}

/// Since when a collector refuses, and whether that was told.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: Option<Refusal>,
    untold: Option<Refusal>,
    told: Option<Instant>,
}

impl Refusals {
    /// It refuses.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let mut state = self.lock();
        let is_new = state.now.replace(refusal) != Some(refusal);
        if is_new && state.told.is_none_or(|at| at.elapsed() >= SELDOM) {
            state.untold = Some(refusal);
        }
    }

    /// It takes what it is sent.
    pub(crate) fn taken(&self) {
        self.lock().now = None;
    }

    /// What is to be told of it, once: `what` is refused at `url`.
    pub(crate) fn news(&self, what: &str, url: &str) -> Option<String> {
        let mut state = self.lock();
        let refusal = state.untold.take()?;
        state.told = Some(Instant::now());
        let accepted = refusal.accepted();
        Some(format!(
            "{what} were refused by {url} and are lost ({refusal}); {accepted}"
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://collector:4318/v1/traces";

    #[test]
    fn it_is_told_once_as_long_as_it_lasts() {
        let refusals = Refusals::default();
        assert_eq!(refusals.news("spans", URL), None);
        for _ in 0..3 {
            refusals.refused(Refusal::Http(401));
        }
        let news = refusals.news("spans", URL).expect("it is new");
        assert_eq!(
            news,
            "spans were refused by http://collector:4318/v1/traces and are lost (HTTP 401 Unauthorized); accepted are \
             credentials, as OTEL_EXPORTER_OTLP_HEADERS carries them: authorization=Bearer%20TOKEN"
        );
        refusals.refused(Refusal::Http(401));
        assert_eq!(refusals.news("spans", URL), None);
        // By turns, and too soon.
        refusals.taken();
        refusals.refused(Refusal::Http(401));
        assert_eq!(refusals.news("spans", URL), None);
        // The next episode, a minute later.
        refusals.taken();
        refusals.lock().told = Instant::now().checked_sub(SELDOM);
        refusals.refused(Refusal::Http(401));
        assert!(refusals.news("spans", URL).is_some());
    }

    #[test]
    fn what_is_over_before_anybody_asks_is_told_all_the_same() {
        let refusals = Refusals::default();
        refusals.refused(Refusal::Grpc(16));
        refusals.taken();
        let news = refusals.news("spans", URL).expect("reports were lost");
        assert!(news.contains("gRPC 16 UNAUTHENTICATED"), "{news}");
        assert!(news.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{news}");
    }

    #[test]
    fn each_refusal_says_what_is_accepted() {
        for (refusal, said) in [
            (Refusal::Http(403), "HTTP 403 Forbidden"),
            (Refusal::Http(307), "where it leads"),
            (Refusal::Http(404), "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (Refusal::Http(413), "2 MiB"),
            (Refusal::Http(400), "own log"),
            (Refusal::NotGrpc(200), "where gRPC was spoken"),
            (Refusal::Grpc(3), "gRPC status 3"),
        ] {
            let refusals = Refusals::default();
            refusals.refused(refusal);
            let news = refusals.news("spans", URL).unwrap_or_default();
            assert!(news.contains(said), "{news}");
        }
    }
}
