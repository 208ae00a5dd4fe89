//! The HTTP client that `opentelemetry-otlp` is given: sees one batch through.

use crate::ids;
use crate::transport::{Answer, Transport};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// First pause before another attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Sends a batch with all its attempts and pauses, and remembers what the collector said of it.
///
/// It ends where it is dropped: nothing of it is spawned.
pub(crate) struct Client {
    transport: Transport,
    /// For one batch with all its attempts and pauses.
    patience: Duration,
    /// Spans of the batch that was taken last.
    rejected: AtomicU64,
}

impl Client {
    pub(crate) fn new(transport: Transport, patience: Duration) -> Self {
        Self {
            transport,
            patience,
            rejected: AtomicU64::new(0),
        }
    }

    /// How many spans the collector rejected of the batch that it took last: the exporter in
    /// between only logs it.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Attempts and pauses until the batch is taken, refused, or time is up.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let until = Instant::now() + self.patience;
        let request = self.transport.outgoing(request)?;
        let mut pause = FIRST_PAUSE;
        loop {
            let after = match timeout_at(until, self.transport.post(request.clone())).await? {
                Answer::Taken { rejected } => {
                    self.rejected.store(rejected, Ordering::Relaxed);
                    // What was in the answer is read.
                    return Ok(Response::new(Bytes::new()));
                }
                Answer::Refused(status) => {
                    return Ok(Response::builder().status(status).body(Bytes::new())?);
                }
                Answer::Later(after) => after,
            };
            let next = Instant::now() + after.unwrap_or_default().max(jittered(pause));
            if next >= until {
                return Err("the collector had no answer in time".into());
            }
            sleep_until(next).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Without the headers: they are credentials.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Half to one and a half times `pause`, so that a fleet does not come back in step.
fn jittered(pause: Duration) -> Duration {
    let [random, ..] = ids::random().to_be_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_within_bounds() {
        let pauses: Vec<_> = (0..100)
            .map(|_| jittered(Duration::from_millis(200)))
            .collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (100..=300).contains(&pause.as_millis())),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
    }
}
