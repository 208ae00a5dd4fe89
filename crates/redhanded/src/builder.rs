//! What a user says about an install.

use crate::install::Redhanded;
use redhanded_core::sink::Sink;
use redhanded_core::{Config, Error, Log};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of an install; made by [`Redhanded::builder`].
///
/// Every default is safe in production.
#[must_use = "nothing is watched before install()"]
pub struct Builder {
    config: Config,
    otlp: Option<String>,
    sinks: Vec<Box<dyn Sink>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("otlp", &self.otlp)
            .finish_non_exhaustive()
    }
}

/// What is different about one route; see [`Builder::route`].
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    slow_after: Duration,
}

/// A rule with another threshold, for [`Builder::route`].
pub fn slow_after(duration: Duration) -> Rule {
    Rule {
        slow_after: duration,
    }
}

impl Builder {
    pub(crate) fn new(service: impl Into<String>) -> Self {
        Self {
            config: Config::new(service),
            otlp: None,
            sinks: Vec::new(),
        }
    }

    /// Reports whatever runs longer; interferes with nothing. Default: 2 s.
    ///
    /// The shortest threshold also sets the pace: a poll that has stood for a quarter of it (at
    /// most 100 ms) is sampled, so that its evidence is there when it is overdue.
    pub fn slow_after(mut self, threshold: Duration) -> Self {
        self.config.slow_after = threshold;
        self
    }

    /// Another rule for one route: the matched template (`/export/{id}`) where axum matches
    /// routes, else the exact path.
    ///
    /// ```
    /// use redhanded::{Redhanded, slow_after};
    /// use std::time::Duration;
    /// let builder = Redhanded::builder("app").route("/export", slow_after(Duration::from_secs(60)));
    /// # let _ = builder;
    /// ```
    pub fn route(mut self, route: impl Into<String>, rule: Rule) -> Self {
        self.config.routes.push((route.into(), rule.slow_after));
        self
    }

    /// Where the slow-request log goes. Default: `slow-requests.jsonl` in the working directory.
    pub fn slow_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.log = Log::Path(path.into());
        self
    }

    /// Writes the slow-request log to stderr.
    pub fn slow_log_to_stderr(mut self) -> Self {
        self.config.log = Log::Stderr;
        self
    }

    /// The request headers that may stand in a report, besides `x-request-id`.
    ///
    /// Default: `user-agent`, `content-type`, `content-length`, `referer`. At most 200; together at
    /// most 256 bytes of their values are kept per request.
    pub fn headers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.config.headers = names.into_iter().map(Into::into).take(200).collect();
        self
    }

    /// More keys whose values are secret, in queries, paths and headers: kept as `REDACTED`.
    pub fn secret_keys<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.config
            .secret_keys
            .extend(keys.into_iter().map(Into::into));
        self
    }

    /// Whether an overdue pending request is woken, once or twice, to see where it waits.
    /// Default: yes. A wake is always legal for a future; without it such a request is still
    /// reported, with its cause unknown.
    pub fn wake_to_look(mut self, yes: bool) -> Self {
        self.config.wake_to_look = yes;
        self
    }

    /// Exports runaways to the collector at `endpoint`, such as `http://127.0.0.1:4318`, by OTLP
    /// over HTTP. `OTEL_EXPORTER_OTLP_ENDPOINT` is stronger.
    #[cfg(feature = "otlp")]
    pub fn otlp(mut self, endpoint: impl Into<String>) -> Self {
        self.otlp = Some(endpoint.into());
        self
    }

    /// One more receiver of reports.
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Starts watching: two threads, the log, the export if an endpoint is set.
    ///
    /// Sets no global subscriber, provider or propagator. Prints one line on stderr that says what
    /// is covered, unless `REDHANDED_LOG` says otherwise.
    ///
    /// # Errors
    ///
    /// A threshold of zero, a bad value of a `REDHANDED_*` variable, a log path that was asked for
    /// and cannot be written, an endpoint that is no URL, threads that cannot be started. The
    /// message names what was wrong and what is accepted.
    pub fn install(self) -> Result<Redhanded, Error> {
        crate::install::install(self.config, self.otlp.as_deref(), self.sinks)
    }
}
