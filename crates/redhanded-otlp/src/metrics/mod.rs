//! Metrics by OTLP: what the engine has counted, sent every minute from a thread of its own.
//!
//! Who asks for it is known before there is anything to count, so there are two steps: [`MetricsExport::from_env`] reads
//! what the environment wants, and [`Planned::start`] begins once there is a source of [`Snapshot`]s.
//!
//! A snapshot that does not arrive is counted and not sent again: the next one tells of the same time as well, whatever the
//! temporality, because what was not delivered is not taken off. So an absent collector costs one attempt an interval.

mod encode;
mod interval;
mod sender;
mod temporality;

use crate::config;
use crate::error::Error;
use crate::otlp::transport;
use crate::refusal::Refusals;
use crate::resource::resource;
use crate::signal::Signal;
use encode::Encoder;
use redhanded_core::metrics::Snapshot;
use redhanded_report::Service;
use sender::{Sender, Shared};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use temporality::Preference;

/// Exports metrics until it is dropped, which ends its thread at once.
pub struct MetricsExport {
    shared: Arc<Shared>,
    url: String,
}

/// What the environment wants of metrics, and what was wrong with it.
#[derive(Debug)]
#[must_use = "nothing is exported before it is started"]
#[non_exhaustive]
pub struct ConfiguredMetrics {
    /// What is to be exported, or why nothing is, in plain words.
    pub plan: Result<Planned, String>,
    /// One sentence per value that was ignored: the variable, the value, and what is accepted.
    pub warnings: Vec<String>,
}

/// An export of metrics that has not begun.
#[must_use = "nothing is exported before it is started"]
pub struct Planned {
    config: config::Config,
    interval: Duration,
    preference: Preference,
}

impl MetricsExport {
    /// What OpenTelemetry's environment variables want; `env` reads one of them.
    ///
    /// Honoured are `OTEL_SDK_DISABLED`, `OTEL_METRICS_EXPORTER` (`otlp`, the default, or `none`), `OTEL_METRIC_EXPORT_INTERVAL`
    /// (milliseconds; 60000), `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` (`cumulative`, the default, `delta` or
    /// `lowmemory`), `OTEL_EXPORTER_OTLP_ENDPOINT` and the others that [`Otlp::from_env`](crate::Otlp::from_env) honours, and
    /// their `_METRICS_` forms. A bad value is warned about and ignored. With no endpoint set nothing is planned.
    ///
    /// ```
    /// use redhanded_otlp::metrics::MetricsExport;
    /// let configured = MetricsExport::from_env(|name| match name {
    ///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://localhost:4318".to_owned()),
    ///     _ => None,
    /// });
    /// assert!(configured.plan.is_ok() && configured.warnings.is_empty());
    /// ```
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> ConfiguredMetrics {
        let mut warnings = Vec::new();
        let plan = config::read(Signal::Metrics, &env, &mut warnings).map(|config| Planned {
            config,
            interval: interval::read(&env, &mut warnings),
            preference: Preference::read(&env, &mut warnings),
        });
        ConfiguredMetrics { plan, warnings }
    }

    /// Where they go, for the line a program prints at its start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends what there is now, and waits for the answer at most for `deadline`; says whether it was taken. Blocks.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.shared.flush(deadline)
    }

    /// The same, and ends the thread.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        let arrived = self.flush(deadline);
        self.shared.stop();
        arrived
    }
}

impl Planned {
    /// Begins to export what `source` gives, as `service`; `lost` is called for each snapshot that did not arrive, with one
    /// sentence when the collector begins to refuse them. Both are called on the thread of the export.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started, or the certificates that the environment names cannot be read.
    pub fn start(
        self,
        service: &Service,
        source: impl Fn() -> Snapshot + Send + 'static,
        lost: impl Fn(Option<String>) + Send + 'static,
    ) -> Result<MetricsExport, Error> {
        let url = self.config.endpoint.shown();
        let (transport, attributes) = transport(self.config)?;
        let shared = Arc::<Shared>::default();
        Sender {
            shared: Arc::clone(&shared),
            transport,
            interval: self.interval,
            encoder: Encoder::new(&resource(service, attributes), self.preference),
            source: Box::new(source),
            lost: Box::new(lost),
            refusals: Refusals::default(),
            url: url.clone(),
            not_before: None,
        }
        .start()?;
        Ok(MetricsExport { shared, url })
    }
}

impl Drop for MetricsExport {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for MetricsExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("MetricsExport");
        shown.field("url", &self.url).finish_non_exhaustive()
    }
}

/// Without the headers: they are credentials.
impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Planned");
        shown.field("url", &self.config.endpoint.shown());
        shown.field("interval", &self.interval);
        shown.field("preference", &self.preference);
        shown.finish_non_exhaustive()
    }
}
