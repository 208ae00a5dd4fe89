//! What a user says about an install.

use crate::callback::Callback;
use crate::export::Wish;
use crate::install::Redhanded;
use redhanded_core::sink::Sink;
use redhanded_core::{Config, Error, FlightRecorder, Log, RouteRule};
use redhanded_report::Report;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of an install; made by [`Redhanded::builder`].
///
/// Every default is safe in production.
#[must_use = "nothing is watched before install()"]
pub struct Builder {
    config: Config,
    export: Wish,
    sinks: Vec<Box<dyn Sink>>,
    on_caught: Vec<OnCaught>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("export", &self.export)
            .finish_non_exhaustive()
    }
}

/// What is different about one route; see [`Builder::route`]. Made by [`slow_after`] and
/// [`long_lived`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Rule(RouteRule);

/// A rule with another threshold, for [`Builder::route`].
pub fn slow_after(duration: Duration) -> Rule {
    Rule::default().slow_after(duration)
}

/// A rule for what may rest for hours, such as a long poll: overdue only when one of its polls does
/// not return. For [`Builder::route`].
pub fn long_lived() -> Rule {
    Rule::default().long_lived()
}

impl Rule {
    /// The same, with another threshold.
    pub fn slow_after(mut self, duration: Duration) -> Self {
        self.0.slow_after = Some(duration);
        self
    }

    /// The same, for what may rest for hours.
    pub fn long_lived(mut self) -> Self {
        self.0.long_lived = true;
        self
    }
}

/// What [`Builder::on_caught`] was given.
type OnCaught = Box<dyn Fn(&Report) + Send>;

impl Builder {
    pub(crate) fn new(service: impl Into<String>) -> Self {
        Self {
            config: Config::new(service),
            export: Wish::default(),
            sinks: Vec::new(),
            on_caught: Vec::new(),
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
    /// routes, else the exact path; or for the jobs of that name. Of several, the first counts.
    ///
    /// ```
    /// use redhanded::{Redhanded, long_lived, slow_after};
    /// use std::time::Duration;
    /// let builder = Redhanded::builder("app")
    ///     .route("/export", slow_after(Duration::from_secs(60)))
    ///     .route("/poll", long_lived());
    /// # let _ = builder;
    /// ```
    pub fn route(mut self, route: impl Into<String>, rule: Rule) -> Self {
        self.config.routes.push((route.into(), rule.0));
        self
    }

    /// Where the slow-request log goes. Default: `slow-requests.jsonl` in the working directory.
    pub fn slow_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.log = Log::Path(path.into());
        self
    }

    /// When the slow-request log is rotated, and how many rotated files (`.1` is the youngest) are kept.
    /// Default: at 64 MiB, and 8.
    ///
    /// `max_bytes` of 0 leaves rotation to others, such as logrotate, which may rotate in any case;
    /// `keep` of 0 removes a full file.
    ///
    /// ```
    /// let builder = redhanded::Redhanded::builder("app").slow_log_rotation(10 << 20, 3);
    /// # let _ = builder;
    /// ```
    pub fn slow_log_rotation(mut self, max_bytes: u64, keep: u32) -> Self {
        self.config.log_max_bytes = max_bytes;
        self.config.log_keep = keep;
        self
    }

    /// Writes the slow-request log to stderr.
    pub fn slow_log_to_stderr(mut self) -> Self {
        self.config.log = Log::Stderr;
        self
    }

    /// Writes no slow-request log: for tests that read reports from a sink. Nothing is durable then.
    #[cfg(feature = "test-util")]
    pub fn no_slow_log(mut self) -> Self {
        self.config.log = Log::Nowhere;
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
    /// reported, with its cause unknown. If it may wait for the blocking pool, an empty closure is
    /// handed to that, to see whether it begins any.
    pub fn wake_to_look(mut self, yes: bool) -> Self {
        self.config.wake_to_look = yes;
        self
    }

    /// Of so many requests one is exported whole, though nothing is wrong with it: its SERVER span, and the spans and
    /// events that [`trace_layer`](crate::trace_layer) has noted. Default: 1000. 0 exports none, 1 all.
    /// `REDHANDED_KEEP_ONE_IN` is stronger.
    ///
    /// Requests that are caught, answered with 5xx (a hundred a second at most) or panic are exported whole in any case;
    /// what there was no time for is counted in `lost.events`. The baseline is decided by the
    /// trace id, as OpenTelemetry's `TraceIdRatioBased` does it: services with the same number keep the same traces,
    /// however they trace. Outbound calls carry the sampled flag of a baseline request, else what came in: that
    /// is decided before anybody knows whether a request will be caught. So the parts of a runaway's trace in other
    /// services are only there if those keep them on their own, or export everything to a collector that samples by
    /// the tail, as `otel-collector.yaml` does.
    pub fn keep_one_in(mut self, requests: u32) -> Self {
        self.config.keep_one_in = requests;
        self
    }

    /// Somebody else exports what `tracing` says, such as `tracing-opentelemetry`: then only what that one cannot is
    /// exported, which is `redhanded.caught` with snapshots of the spans that are open, and nothing twice.
    ///
    /// [`Current::traceparent`](crate::Current::traceparent) is the parent that its spans should have.
    pub fn spans_exported_elsewhere(mut self) -> Self {
        self.config.spans_exported_elsewhere = true;
        self
    }

    /// Exports runaways to the collector at `endpoint`, such as `http://127.0.0.1:4318`, by OTLP
    /// over HTTP, or over gRPC where `OTEL_EXPORTER_OTLP_PROTOCOL` is `grpc` (feature `otlp-grpc`).
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` is stronger.
    #[cfg(feature = "otlp")]
    pub fn otlp(mut self, endpoint: impl Into<String>) -> Self {
        self.export.endpoint = Some(endpoint.into());
        self
    }

    /// Where reports wait while the collector is away: a directory that this process may fill with 64 MiB, and that
    /// others may share. Default: none, and 4 MiB of memory. `REDHANDED_SPOOL` is stronger.
    ///
    /// They are delivered in order when the collector is back; what is left when the process ends or is killed, by the
    /// next one. When it is full the oldest make room, and are counted in `lost`.
    ///
    /// ```
    /// let builder = redhanded::Redhanded::builder("app").spool("/var/lib/app/spool");
    /// # let _ = builder;
    /// ```
    #[cfg(feature = "otlp")]
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> Self {
        self.export.spool = Some(directory.into());
        self
    }

    /// Answers HTTP health checks at `address`, on a thread of its own that answers when every worker stands:
    /// `GET /ready` and `GET /live` say 200 or 503, `GET /health` says why, as JSON. Port 0 is any free one:
    /// [`Redhanded::health_address`] tells which. `REDHANDED_HEALTH_LISTEN` is stronger.
    ///
    /// With feature `prometheus` and [`metrics`](Self::metrics) or an export of metrics switched on, `GET /metrics` tells the
    /// numbers there, too.
    ///
    /// Who can connect can read which route keeps a worker, and nothing else of any request. At most 64 connections
    /// at once, 2 s each.
    ///
    /// ```
    /// # fn example() -> Result<(), redhanded::Error> {
    /// let redhanded = redhanded::Redhanded::builder("app")
    ///     .health_listener(([0, 0, 0, 0], 9901))
    ///     .agent_check(([0, 0, 0, 0], 9902))
    ///     .install()?;
    /// # drop(redhanded); Ok(()) }
    /// ```
    pub fn health_listener(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.health.listener = Some(address.into());
        self
    }

    /// Answers HAProxy's agent-checks at `address`, by the same thread: `up 75%`, with the share of free workers as
    /// weight; `up 0%`, which drains, when it is not ready; `down` when it is not alive, each with a reason.
    /// `REDHANDED_AGENT_CHECK_LISTEN` is stronger.
    pub fn agent_check(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.health.agent_check = Some(address.into());
        self
    }

    /// Not ready when every worker of a runtime has stood for so long, each by the doing of this process: in a loop,
    /// or for a lock that nobody who waits for a peer may have. Default: 300 ms.
    ///
    /// Also when half of the workers are held like that for ten times as long, or by requests that are caught
    /// spinning. Ready again when all have moved for a second, and for longer if it was ready only for a short time.
    /// It should be longer than what your handlers compute without an await.
    pub fn unready_after(mut self, threshold: Duration) -> Self {
        self.config.health.unready_after = threshold;
        self
    }

    /// Not alive, so that a supervisor may restart the process, when every worker of a runtime has stood for so long,
    /// or the watchdog itself. Default: 30 s.
    pub fn restart_after(mut self, threshold: Duration) -> Self {
        self.config.health.restart_after = threshold;
        self
    }

    /// Whether requests are counted for metrics from the beginning. Default: no, unless metrics are exported; who asks for
    /// them later ([`Redhanded::metrics`]) switches it on then.
    ///
    /// Costs a request one reading of the clock and some 200 instructions; while it is off, a look at one word.
    ///
    /// ```
    /// # fn example() -> Result<(), redhanded::Error> {
    /// let redhanded = redhanded::Redhanded::builder("app")
    ///     .metrics(true)
    ///     .health_listener(([127, 0, 0, 1], 9901)) // with feature `prometheus`: GET /metrics
    ///     .install()?;
    /// # drop(redhanded); Ok(()) }
    /// ```
    pub fn metrics(mut self, yes: bool) -> Self {
        self.config.metrics = yes;
        self
    }

    /// Keeps a file with a record for each request in flight, which tells after `kill -9`, an OOM kill, an abort or a
    /// segmentation fault what this process was doing; the next start files those requests as `died` in the
    /// slow-request log. Default: none. `REDHANDED_FLIGHT_RECORDER` is stronger.
    ///
    /// Takes a path, or a [`FlightRecorder`] for more. The directory must exist; the file is made with mode 0400 and all
    /// of its space (8 MiB by default), and may be there from an earlier process. Best is a directory in memory that
    /// outlives the process, such as `/run/app`.
    ///
    /// ```
    /// use redhanded::{FlightRecorder, Redhanded};
    /// use std::time::Duration;
    /// let builder = Redhanded::builder("app").flight_recorder("/run/app/requests.rh");
    /// let larger = FlightRecorder::new("/var/lib/app/requests.rh").records(20_000).sync_every(Duration::from_secs(5));
    /// let builder = Redhanded::builder("app").flight_recorder(larger);
    /// # let _ = builder;
    /// ```
    pub fn flight_recorder(mut self, recorder: impl Into<FlightRecorder>) -> Self {
        self.config.flight_recorder = Some(recorder.into());
        self
    }

    /// One more receiver of reports.
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Calls `call` for every request that is caught, when its line is on disk, or the disk has not
    /// answered for 200 ms and `durable` is false: once, with names, on a thread of its own.
    ///
    /// What takes its time or panics in there holds up nobody. 256 reports wait for it; what comes
    /// when they are full, and calls that panicked, are counted in `lost.events`.
    ///
    /// ```
    /// use redhanded::{Redhanded, report::Report};
    /// let builder = Redhanded::builder("app").on_caught(|report: &Report| {
    ///     eprintln!("caught {}", report.id);
    /// });
    /// # let _ = builder;
    /// ```
    pub fn on_caught(mut self, call: impl Fn(&Report) + Send + 'static) -> Self {
        self.on_caught.push(Box::new(call));
        self
    }

    /// Starts watching: three threads, the log, the export if an endpoint is set, a thread for health checks where an
    /// address for them is set, and one more under systemd, if `NOTIFY_SOCKET` says so.
    ///
    /// Sets no global subscriber, provider or propagator. Prints one line on stderr that says what
    /// is covered, unless `REDHANDED_LOG` says otherwise.
    ///
    /// # Errors
    ///
    /// A threshold of zero, an address that cannot be bound, a bad value of a `REDHANDED_*` variable, a log path that was asked for
    /// and cannot be written, a spool that cannot, an endpoint that is no URL, threads that cannot be started. The
    /// message names what was wrong and what is accepted.
    pub fn install(self) -> Result<Redhanded, Error> {
        let mut sinks = self.sinks;
        for call in self.on_caught {
            let started = Callback::start(call).map_err(Error::thread)?;
            sinks.push(Box::new(started));
        }
        crate::install::install(self.config, &self.export, sinks)
    }
}
