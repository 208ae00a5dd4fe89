//! What an install is told: by code, and by the environment, which has the last word.

mod error;
mod flight_recorder;

pub use error::Error;
pub use flight_recorder::FlightRecorder;

use crate::metrics::Snapshot;
use humantime::parse_duration;
use redhanded_report::Service;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the slow-request log goes when nobody says otherwise.
pub const DEFAULT_LOG: &str = "slow-requests.jsonl";

/// Everything an install needs to know. Made by the facade's builder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Who we are in every report.
    pub service: Service,
    /// Report whatever runs longer; never zero.
    pub slow_after: Duration,
    /// Other rules by matched route, by path where nothing matches routes, or by a job's name.
    pub routes: Vec<(String, RouteRule)>,
    /// Request headers that may stand in a report, lower case.
    pub headers: Vec<String>,
    /// Keys whose values are secret, besides the built-in ones.
    pub secret_keys: Vec<String>,
    /// Where reports go.
    pub log: Log,
    /// Size in bytes that the log is rotated at; 0: never by us.
    pub log_max_bytes: u64,
    /// How many rotated logs are kept; 0: a full one is removed.
    pub log_keep: u32,
    /// Whether an overdue pending request may be woken for a look at what it waits for.
    pub wake_to_look: bool,
    /// Of so many requests one is exported whole though nothing is wrong with it; 0: none.
    pub keep_one_in: u32,
    /// Somebody else exports what `tracing` says: only what that one cannot is exported.
    pub spans_exported_elsewhere: bool,
    /// What we say about ourselves on stderr.
    pub diagnostics: Diagnostics,
    /// When a process is unfit, and who may ask.
    pub health: HealthRules,
    /// Whether requests are counted for metrics from the beginning.
    pub metrics: bool,
    /// How numbers are written for whoever scrapes the listener of health checks; `None`: nobody does.
    pub scrape: Option<Scrape>,
    /// The file that tells what was in flight if the process is killed.
    pub flight_recorder: Option<FlightRecorder>,
}

/// Writes numbers as a format has them that an `Accept` header asks for; gives its content type and the text.
pub type Scrape = fn(snapshot: &Snapshot, accept: &str) -> (&'static str, String);

/// When a process is unfit for requests, and where load balancers ask.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HealthRules {
    /// Not ready when every worker of a runtime stands for so long; never zero.
    pub unready_after: Duration,
    /// Not alive when they do for so long, or the watchdog itself; never shorter than `unready_after`.
    pub restart_after: Duration,
    /// Where HTTP health checks are answered.
    pub listener: Option<SocketAddr>,
    /// Where HAProxy's agent-checks are answered.
    pub agent_check: Option<SocketAddr>,
}

impl Default for HealthRules {
    fn default() -> Self {
        Self {
            unready_after: Duration::from_millis(300),
            restart_after: Duration::from_secs(30),
            listener: None,
            agent_check: None,
        }
    }
}

/// What an install says about itself on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Diagnostics {
    /// Nothing.
    Off,
    /// What was ignored or could not be done.
    Warn,
    /// One line at start besides, which says what is covered.
    Info,
}

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Log {
    /// [`DEFAULT_LOG`] in the working directory; stderr if that cannot be written.
    Default,
    /// A file that was asked for: it is an error if it cannot be written.
    Path(PathBuf),
    /// One line of JSON per record on stderr.
    Stderr,
    /// Nowhere: for tests that read reports from a sink.
    Nowhere,
}

/// What is different about one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteRule {
    /// Another threshold.
    pub slow_after: Option<Duration>,
    /// It may rest for hours: overdue only when one of its polls does not return.
    pub long_lived: bool,
}

/// A log file is rotated when it would become longer.
pub(crate) const LOG_MAX_BYTES: u64 = 64 << 20;
/// So many full log files are kept.
pub(crate) const LOG_KEEP: u32 = 8;

impl Config {
    /// The safe defaults for the service `name`.
    pub fn new(name: impl Into<String>) -> Self {
        let mut service = Service::default();
        service.name = name.into();
        Self {
            service,
            slow_after: Duration::from_secs(2),
            routes: Vec::new(),
            headers: ["user-agent", "content-type", "content-length", "referer"]
                .map(str::to_owned)
                .to_vec(),
            secret_keys: Vec::new(),
            log: Log::Default,
            log_max_bytes: LOG_MAX_BYTES,
            log_keep: LOG_KEEP,
            wake_to_look: true,
            keep_one_in: 1000,
            spans_exported_elsewhere: false,
            diagnostics: Diagnostics::Info,
            health: HealthRules::default(),
            metrics: false,
            scrape: None,
            flight_recorder: None,
        }
    }

    /// Checks what code has set and applies what the environment says.
    ///
    /// Returns warnings: bad values of `OTEL_*` are warned about and ignored, as OpenTelemetry asks.
    ///
    /// # Errors
    ///
    /// A threshold of zero, and a bad value of `REDHANDED_*`: the message names the variable, the
    /// value and what is accepted.
    pub fn resolve(&mut self, env: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, Error> {
        self.check_thresholds()?;
        if let Some(value) = env("REDHANDED_SLOW_AFTER") {
            self.slow_after = slow_after(&value)?;
        }
        if let Some(value) = env("REDHANDED_SLOW_LOG") {
            self.log = log(&value)?;
        }
        if let Some(value) = env("REDHANDED_LOG") {
            self.diagnostics = diagnostics(&value)?;
        }
        if let Some(value) = env("REDHANDED_KEEP_ONE_IN") {
            self.keep_one_in = keep_one_in(&value)?;
        }
        for (name, address) in [
            ("REDHANDED_HEALTH_LISTEN", &mut self.health.listener),
            ("REDHANDED_AGENT_CHECK_LISTEN", &mut self.health.agent_check),
        ] {
            if let Some(value) = env(name) {
                *address = listen(name, &value)?;
            }
        }
        self.headers
            .iter_mut()
            .for_each(|h| h.make_ascii_lowercase());
        if let Some(value) = env(flight_recorder::NAME) {
            self.flight_recorder = flight_recorder::from_env(&value, self.flight_recorder.take())?;
        }
        if let Some(recorder) = &self.flight_recorder {
            recorder.check()?;
        }
        Ok(self.apply_resource(&env))
    }

    /// What is different about `route`, or a job of that name.
    pub(crate) fn rule(&self, route: &str) -> RouteRule {
        let found = self.routes.iter().find(|(name, _)| name == route);
        found.map(|(_, rule)| *rule).unwrap_or_default()
    }

    fn check_thresholds(&self) -> Result<(), Error> {
        if self.slow_after.is_zero() {
            return Err(Error::config(
                "slow_after(0): a threshold of zero would report every request; give a duration such as 2 s",
            ));
        }
        let health = &self.health;
        if health.unready_after.is_zero() || health.restart_after < health.unready_after {
            return Err(Error::config(format!(
                "unready_after({:?}), restart_after({:?}): the first must be above zero, and the second no shorter; the defaults are 300 ms and 30 s",
                health.unready_after, health.restart_after
            )));
        }
        let is_zero = |rule: &RouteRule| rule.slow_after.is_some_and(|after| after.is_zero());
        match self.routes.iter().find(|(_, rule)| is_zero(rule)) {
            Some((route, _)) => Err(Error::config(format!(
                "route({route:?}, slow_after(0)): a threshold of zero would report every request; give a duration such as 60 s"
            ))),
            None => Ok(()),
        }
    }

    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, whose forms OpenTelemetry defines.
    fn apply_resource(&mut self, env: &impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut warnings = Vec::new();
        for pair in env("OTEL_RESOURCE_ATTRIBUTES")
            .unwrap_or_default()
            .split(',')
            .filter(|p| !p.trim().is_empty())
        {
            let Some((key, value)) = pair.split_once('=') else {
                warnings.push(format!(
                    "OTEL_RESOURCE_ATTRIBUTES: {:?} is ignored; accepted is key=value,key=value",
                    pair.trim()
                ));
                continue;
            };
            let value = percent_encoding::percent_decode_str(value.trim())
                .decode_utf8_lossy()
                .into_owned();
            match key.trim() {
                "service.name" => self.service.name = value,
                "service.version" => self.service.version = Some(value),
                "service.instance.id" => self.service.instance = Some(value),
                "host.name" => self.service.host = Some(value),
                _ => {}
            }
        }
        if let Some(name) = env("OTEL_SERVICE_NAME").filter(|n| !n.is_empty()) {
            self.service.name = name;
        }
        warnings
    }
}

fn slow_after(value: &str) -> Result<Duration, Error> {
    match parse_duration(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Error::config(format!(
            "REDHANDED_SLOW_AFTER={value:?} is not accepted; give a duration above zero with its unit, such as 2s, 500ms or 1m30s"
        ))),
    }
}

fn keep_one_in(value: &str) -> Result<u32, Error> {
    value.parse().map_err(|_| {
        Error::config(format!(
            "REDHANDED_KEEP_ONE_IN={value:?} is not accepted; give a whole number: of so many requests one is exported whole, or none for 0"
        ))
    })
}

fn log(value: &str) -> Result<Log, Error> {
    match value {
        "" => Err(Error::config(
            "REDHANDED_SLOW_LOG=\"\" is not accepted; give a path, or stderr",
        )),
        "stderr" => Ok(Log::Stderr),
        path => Ok(Log::Path(path.into())),
    }
}

fn listen(name: &str, value: &str) -> Result<Option<SocketAddr>, Error> {
    if value == "off" {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        Error::config(format!(
            "{name}={value:?} is not accepted; give an address with its port, such as 127.0.0.1:9901 or [::]:9901, or off"
        ))
    })
}

fn diagnostics(value: &str) -> Result<Diagnostics, Error> {
    match value {
        "off" => Ok(Diagnostics::Off),
        "warn" => Ok(Diagnostics::Warn),
        "info" => Ok(Diagnostics::Info),
        _ => Err(Error::config(format!(
            "REDHANDED_LOG={value:?} is not accepted; give off, warn or info"
        ))),
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests;
