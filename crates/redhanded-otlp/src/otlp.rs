//! The sink that the engine is given.

use crate::config::Config;
use crate::endpoint::{self, Endpoint, Protocol};
use crate::error::Error;
use crate::exporter::{Exporter, Gauges};
use crate::options::Options;
use crate::outbox::{Limits, Outbox};
use crate::pace::Pace;
use crate::queue::{Bounds, Queue};
use crate::refusal::Refusals;
use crate::resource::resource;
use crate::seen::Seen;
use crate::signal::Signal;
use crate::tls::Tls;
use crate::transport::Transport;
use crate::{kept, mapping, server_span};
use redhanded_core::sink::Sink;
use redhanded_core::{Kept, Why};
use redhanded_report::{Event, Report, Service};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Exports reports as OpenTelemetry spans, on a thread and runtime of its own.
///
/// What cannot be delivered now waits: 4 MiB in memory, the oldest making room, or on disk where there is a
/// [`Spool`](crate::Spool).
///
/// Dropping it ends the thread at once; what still waits in memory is lost. Call [`Otlp::shutdown`] first
/// to let it arrive.
pub struct Otlp {
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    refusals: Arc<Refusals>,
    seen: Box<Mutex<Seen>>,
    url: String,
}

/// What waits for the collector; see [`Otlp::waiting`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Requests that were made of reports, in memory and on disk.
    pub requests: usize,
    /// Bytes of them in memory.
    pub memory_bytes: usize,
    /// Bytes of disk that the others take.
    pub disk_bytes: u64,
}

/// What the environment asks for, and what was wrong with it.
#[derive(Debug)]
#[must_use = "the exporter ends when it is dropped, and the warnings are for somebody to read"]
#[non_exhaustive]
pub struct Configured {
    /// The exporter, or why there is none.
    pub export: Export,
    /// One sentence per value that was ignored: the variable, the value, and what is accepted.
    pub warnings: Vec<String>,
}

/// An exporter, or why there is none.
#[derive(Debug)]
pub enum Export {
    /// Nothing is exported and nothing is retried.
    Off {
        /// The reason in plain words.
        why: String,
    },
    /// Reports are exported.
    On(Otlp),
}

impl Otlp {
    /// An exporter as OpenTelemetry's environment variables ask for it; `env` reads one of them.
    ///
    /// Honoured are `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// `_PROTOCOL`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_INSECURE`, `_CERTIFICATE`,
    /// `_CLIENT_CERTIFICATE`, `_CLIENT_KEY` and their `_TRACES_` forms, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; the last two win over `service`. An
    /// empty value is an unset one. A bad value is warned about and ignored. With no endpoint set
    /// there is no exporter.
    ///
    /// An endpoint from code is given as the value of a variable that is not set:
    ///
    /// ```
    /// use redhanded_otlp::Otlp;
    /// # use redhanded_report::Service;
    /// let configured = Otlp::from_env(&Service::default(), |name| match name {
    ///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://localhost:4318".to_owned()),
    ///     _ => None,
    /// });
    /// assert!(configured.warnings.is_empty());
    /// ```
    pub fn from_env(service: &Service, env: impl Fn(&str) -> Option<String>) -> Configured {
        Options::default().from_env(service, env)
    }

    /// An exporter to the collector at `endpoint`, such as `http://localhost:4318`; the path
    /// `/v1/traces` is appended unless it is there already. The environment is not read.
    ///
    /// # Errors
    ///
    /// When the endpoint is not a URL that this build can send to, and when the thread cannot be
    /// started.
    ///
    /// ```
    /// use redhanded_otlp::Otlp;
    /// # use redhanded_report::Service;
    /// # use std::time::Duration;
    /// let otlp = Otlp::to("http://localhost:4318", &Service::default())?;
    /// assert!(otlp.shutdown(Duration::from_secs(1)), "nothing was accepted, so nothing is missing");
    /// assert!(Otlp::to("localhost:4318", &Service::default()).is_err_and(|e| e.is_endpoint()));
    /// # Ok::<(), redhanded_otlp::Error>(())
    /// ```
    pub fn to(endpoint: &str, service: &Service) -> Result<Self, Error> {
        Options::default().to(endpoint, service)
    }

    /// Whether [`Otlp::to`] accepts the endpoint; nothing is started, and nobody is asked.
    ///
    /// # Errors
    ///
    /// When the endpoint is not a URL that this build can send to.
    ///
    /// ```
    /// use redhanded_otlp::Otlp;
    /// assert!(Otlp::check("http://localhost:4318").is_ok());
    /// assert!(Otlp::check("localhost:4318").is_err_and(|e| e.is_endpoint()));
    /// ```
    pub fn check(endpoint: &str) -> Result<(), Error> {
        parse(endpoint).map(drop)
    }

    /// How much waits for the collector; what the engine has just handed over is not in it yet.
    ///
    /// ```
    /// # use redhanded_otlp::Otlp;
    /// # let otlp = Otlp::to("http://localhost:4318", &redhanded_report::Service::default())?;
    /// assert_eq!(otlp.waiting().requests, 0);
    /// # Ok::<(), redhanded_otlp::Error>(())
    /// ```
    pub fn waiting(&self) -> Waiting {
        Waiting {
            requests: self.gauges.requests.load(Ordering::Relaxed),
            memory_bytes: self.gauges.memory_bytes.load(Ordering::Relaxed),
            disk_bytes: self.gauges.disk_bytes.load(Ordering::Relaxed),
        }
    }

    /// The URL that spans are posted to, for the line a program prints at its start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until everything accepted has gone out, at most for `deadline`, then ends the thread;
    /// says whether everything has. What is left goes to the spool, or is counted as lost without one, as is what comes
    /// later.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        let all = self.queue.flush(deadline);
        self.end();
        all
    }

    pub(crate) fn start(
        config: Config,
        options: Options,
        service: &Service,
    ) -> Result<Self, Error> {
        let url = config.endpoint.shown();
        let (transport, attributes) = transport(config)?;
        let queue = Arc::new(Queue::new(Bounds::default()));
        let gauges = Arc::<Gauges>::default();
        let refusals = Arc::<Refusals>::default();
        Exporter {
            queue: Arc::clone(&queue),
            transport: Arc::new(transport),
            resource: (&resource(service, attributes)).into(),
            outbox: Outbox::new(Limits::default(), options.spool),
            pace: Pace::new(options.longest_pause),
            gauges: Arc::clone(&gauges),
            refusals: Arc::clone(&refusals),
            adopted: tokio::time::Instant::now(),
        }
        .start()?;
        Ok(Self {
            queue,
            gauges,
            refusals,
            seen: Box::new(Mutex::new(Seen::new())),
            url,
        })
    }

    fn end(&self) {
        self.queue.stop();
        // Not a join: in a forked child there is no thread to wait for.
        self.queue.wait_ended(Duration::from_secs(1));
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Otlp {
    fn accept(&self, report: &Arc<Report>, caught: Option<&Arc<Report>>) {
        let caught = caught.map(Arc::as_ref);
        let name = match report.event {
            Event::Caught => "redhanded.caught",
            Event::Updated if self.seen(|seen| seen.is_news(report, caught)) => "redhanded.updated",
            Event::Died => "redhanded.died",
            Event::Ended if self.seen(|seen| seen.ends(report, caught)) => {
                self.queue.push(vec![server_span::ended(report, caught)]);
                return;
            }
            // Nothing new, or no request: a span without one would be counted as a runaway.
            _ => return,
        };
        // What did not get into the queue was not said: a later look may say it.
        let mut told = self.seen(|seen| seen.told(report));
        if self.queue.push(mapping::runaway(name, report, &mut told)) {
            self.seen(|seen| seen.note(report, told));
        }
    }

    fn keeps(&self) -> bool {
        true
    }

    fn keep(&self, kept: &Arc<Kept>) {
        let spans = kept::spans(kept);
        if spans.is_empty() {
            return;
        }
        match kept.why {
            Why::Caught => self.queue.push(spans),
            _ => self.queue.push_rest(spans),
        };
    }

    fn flush(&self, deadline: Duration) -> bool {
        self.queue.flush(deadline)
    }

    /// Reports that did not arrive, and single spans that the collector rejected.
    fn lost(&self) -> u64 {
        self.queue.lost()
    }

    fn why_lost(&self) -> Option<String> {
        self.refusals.news("spans", &self.url)
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        self.end();
    }
}

/// What posts to the endpoint of `config`; and the attributes of the resource.
pub(crate) fn transport(config: Config) -> Result<(Transport, BTreeMap<String, String>), Error> {
    let tls = match (config.endpoint.tls, config.endpoint.protocol) {
        (false, _) => None,
        (true, Protocol::Grpc) => Some(Tls::new(&config.files, b"h2")),
        (true, Protocol::Http) => Some(Tls::new(&config.files, b"http/1.1")),
    };
    let transport = Transport::new(
        config.endpoint,
        config.headers,
        config.gzip,
        config.timeout,
        tls.transpose().map_err(Error::start)?,
    );
    Ok((transport.map_err(Error::start)?, config.attributes))
}

/// The endpoint as code gives it.
pub(crate) fn parse(endpoint: &str) -> Result<Endpoint, Error> {
    let complete = endpoint.trim_end_matches('/').ends_with("/v1/traces");
    let parsed = if complete {
        Endpoint::exact(endpoint)
    } else {
        Endpoint::base(endpoint, Signal::Traces)
    };
    parsed.map_err(|wrong| {
        let shown = endpoint::printable(endpoint);
        Error::endpoint(format!(
            "OTLP endpoint {shown:?}: {wrong}; accepted is {}",
            endpoint::ACCEPTED
        ))
    })
}

/// Without the headers: they are credentials.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
