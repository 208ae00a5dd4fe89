//! What an install is told: by code, and by the environment, which has the last word.

use crate::metrics::Snapshot;
use humantime::parse_duration;
use redhanded_report::Service;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the slow-request log goes when nobody says otherwise.
pub const DEFAULT_LOG: &str = "slow-requests.jsonl";

/// Names the flight recorder's file, or switches it off.
const FLIGHT_RECORDER: &str = "REDHANDED_FLIGHT_RECORDER";

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

/// A file with a record for each request in flight, which outlives the process.
///
/// Whatever kills the process, what the file says stays: it is in the kernel's memory from the moment it is stored. A
/// power cut or a crash of the machine leaves only what was written to the disk by then:
/// [`sync_every`](Self::sync_every). On a file system in memory (`/run`, `/dev/shm`) a disk that hangs or fills up can hold up
/// nobody; on a disk the kernel may let a request wait while it writes its page back, as it does with any mapped file.
///
/// ```
/// use redhanded_core::FlightRecorder;
/// use std::time::Duration;
/// let recorder = FlightRecorder::new("/run/app/requests.rh")
///     .records(10_000)
///     .sync_every(Duration::from_secs(5));
/// # let _ = recorder;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRecorder {
    pub(crate) path: PathBuf,
    pub(crate) records: usize,
    pub(crate) sync_every: Option<Duration>,
    /// What named the path, if it was not code.
    pub(crate) variable: Option<&'static str>,
}

impl FlightRecorder {
    /// How many requests in flight have a record when nobody says otherwise.
    pub const RECORDS: usize = 4096;

    /// At `path`, in a directory that exists. Each process needs a path of its own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            records: Self::RECORDS,
            sync_every: None,
            variable: None,
        }
    }

    /// How many requests in flight have a record, of 2 KiB each, all of which is allocated at the start. Default:
    /// 4,096. From one to 1,048,576. Requests beyond that run unrecorded, and are counted.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.records = records;
        self
    }

    /// Writes it to the disk so often while requests are in flight, on a thread of its own: for a power cut, which
    /// otherwise leaves what the kernel happened to have written. Default: never. No shorter than 10 ms.
    #[must_use]
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.sync_every = Some(interval);
        self
    }

    /// What was asked for, in the words of whoever did.
    pub(crate) fn said(&self) -> String {
        match self.variable {
            Some(variable) => format!("{variable}={:?}: the flight recorder's file", self.path),
            None => format!("the flight recorder's file {:?}", self.path),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let most = redhanded_report::recorder::layout::MOST_RECORDS;
        if self.records == 0 || self.records > most {
            return Err(Error::config(format!(
                "FlightRecorder::records({}) is not accepted; give a number from 1 to {most}",
                self.records
            )));
        }
        match self.sync_every {
            Some(every) if every < Duration::from_millis(10) => Err(Error::config(format!(
                "FlightRecorder::sync_every({every:?}) is not accepted; give 10 ms or more"
            ))),
            _ => Ok(()),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for FlightRecorder {
    fn from(path: P) -> Self {
        Self::new(path)
    }
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
        if let Some(value) = env(FLIGHT_RECORDER) {
            self.flight_recorder = flight_recorder(&value, self.flight_recorder.take())?;
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

/// The path changes, and whatever else code has said stays.
fn flight_recorder(
    value: &str,
    said: Option<FlightRecorder>,
) -> Result<Option<FlightRecorder>, Error> {
    if matches!(value, "" | "off") {
        return Ok(None);
    }
    if value.contains('\u{fffd}') || value.ends_with('/') {
        return Err(Error::config(format!(
            "{FLIGHT_RECORDER}={value:?} is not accepted; give the path of a file in UTF-8, such as /run/app/requests.rh, or off"
        )));
    }
    let mut recorder = said.unwrap_or_else(|| FlightRecorder::new(value));
    recorder.path = value.into();
    recorder.variable = Some(FLIGHT_RECORDER);
    Ok(Some(recorder))
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

/// Why an install did not happen. The message names what was wrong and what is accepted.
#[derive(Debug)]
pub struct Error {
    message: String,
    source: Option<std::io::Error>,
}

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }
    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        Self {
            message: message.into(),
            source: Some(source),
        }
    }

    /// An error about a setting, for those who configure parts that this crate does not know.
    pub fn setting(message: impl Into<String>) -> Self {
        Self::config(message)
    }

    /// A thread that is needed could not be started.
    pub fn thread(source: std::io::Error) -> Self {
        Self::io("a thread could not be started", source)
    }

    /// A setting was wrong, as opposed to something that the system refused.
    pub fn is_config(&self) -> bool {
        self.source.is_none()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<(Config, Vec<String>), Error> {
        let mut config = Config::new("app");
        let warnings = config.resolve(|n| (n == name).then(|| value.to_owned()))?;
        Ok((config, warnings))
    }

    #[test]
    fn zero_thresholds_are_refused() {
        let mut config = Config::new("app");
        config.slow_after = Duration::ZERO;
        assert!(config.resolve(|_| None).unwrap_err().is_config());
        let mut config = Config::new("app");
        let rule = RouteRule {
            slow_after: Some(Duration::ZERO),
            ..RouteRule::default()
        };
        config.routes.push(("/export".into(), rule));
        let error = config.resolve(|_| None).unwrap_err().to_string();
        assert!(
            error.contains("/export") && error.contains("zero"),
            "{error}"
        );
    }

    #[test]
    fn bad_values_of_ours_name_variable_value_and_what_is_accepted() {
        for bad in ["", "soon", "2", "-1s", "0s"] {
            let error = with("REDHANDED_SLOW_AFTER", bad).unwrap_err().to_string();
            for part in ["REDHANDED_SLOW_AFTER", &format!("{bad:?}"), "500ms"] {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
        assert!(with("REDHANDED_SLOW_LOG", "").is_err());
        let error = with("REDHANDED_LOG", "loud").unwrap_err().to_string();
        assert!(
            error.contains("REDHANDED_LOG=\"loud\"") && error.contains("off, warn or info"),
            "{error}"
        );
    }

    #[test]
    fn the_baseline_is_a_whole_number() {
        for (value, one_in) in [("0", 0), ("1", 1), ("100", 100)] {
            assert_eq!(
                with("REDHANDED_KEEP_ONE_IN", value).unwrap().0.keep_one_in,
                one_in
            );
        }
        for bad in ["", "-1", "1/1000", "0.001", "all"] {
            let error = with("REDHANDED_KEEP_ONE_IN", bad).unwrap_err().to_string();
            assert!(
                error.contains(&format!("REDHANDED_KEEP_ONE_IN={bad:?}"))
                    && error.contains("whole number"),
                "{error}"
            );
        }
    }

    #[test]
    fn thresholds_of_health_that_make_no_sense_are_refused() {
        for (unready_ms, restart_ms) in [(0, 1_000), (300, 299)] {
            let mut config = Config::new("app");
            config.health.unready_after = Duration::from_millis(unready_ms);
            config.health.restart_after = Duration::from_millis(restart_ms);
            let error = config.resolve(|_| None).unwrap_err();
            assert!(error.is_config() && error.to_string().contains("unready_after"));
        }
    }

    #[test]
    fn the_environment_says_where_health_checks_are_answered() {
        let (config, _) = with("REDHANDED_HEALTH_LISTEN", "[::1]:9901").unwrap();
        assert_eq!(config.health.listener, "[::1]:9901".parse().ok());
        let (config, _) = with("REDHANDED_AGENT_CHECK_LISTEN", "off").unwrap();
        assert_eq!(config.health.agent_check, None);
        for bad in ["", "9901", "localhost:9901", "127.0.0.1"] {
            for name in ["REDHANDED_HEALTH_LISTEN", "REDHANDED_AGENT_CHECK_LISTEN"] {
                let error = with(name, bad).unwrap_err().to_string();
                for part in [name, &format!("{bad:?}"), "127.0.0.1:9901"] {
                    assert!(error.contains(part), "{error} lacks {part}");
                }
            }
        }
    }

    #[test]
    fn the_environment_names_the_flight_recorder_or_switches_it_off() {
        const NAME: &str = "REDHANDED_FLIGHT_RECORDER";
        let (config, _) = with(NAME, "/run/a.rh").unwrap();
        assert_eq!(
            config.flight_recorder.unwrap().path,
            PathBuf::from("/run/a.rh")
        );
        let resolved = |value: &str| {
            let mut config = Config::new("app");
            config.flight_recorder = Some(FlightRecorder::new("code.rh").records(7));
            config
                .resolve(|n| (n == NAME).then(|| value.to_owned()))
                .map(|_| config.flight_recorder)
        };
        let changed = resolved("env.rh").unwrap().unwrap();
        assert_eq!(
            (changed.path, changed.records),
            (PathBuf::from("env.rh"), 7)
        );
        for off in ["", "off"] {
            assert_eq!(resolved(off).unwrap(), None);
        }
        for bad in ["/run/", "a\u{fffd}b"] {
            let error = resolved(bad).unwrap_err().to_string();
            for part in [NAME, &format!("{bad:?}"), "/run/app/requests.rh, or off"] {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
    }

    #[test]
    fn a_flight_recorder_without_records_is_refused() {
        let check = |recorder: FlightRecorder| recorder.check().unwrap_err().to_string();
        assert!(check(FlightRecorder::new("x").records(0)).contains("from 1 to 1048576"));
        assert!(check(FlightRecorder::new("x").records(1 << 21)).contains("2097152"));
        assert!(
            check(FlightRecorder::new("x").sync_every(Duration::ZERO)).contains("10 ms or more")
        );
    }

    #[test]
    fn the_environment_has_the_last_word() {
        assert_eq!(
            with("REDHANDED_SLOW_AFTER", "500ms").unwrap().0.slow_after,
            Duration::from_millis(500)
        );
        assert_eq!(
            with("REDHANDED_SLOW_LOG", "stderr").unwrap().0.log,
            Log::Stderr
        );
        assert_eq!(
            with("OTEL_SERVICE_NAME", "other").unwrap().0.service.name,
            "other"
        );
        let (config, warnings) =
            with("OTEL_RESOURCE_ATTRIBUTES", "service.version=1%2E2,nonsense").unwrap();
        assert_eq!(config.service.version.as_deref(), Some("1.2"));
        assert!(warnings[0].contains("nonsense") && warnings[0].contains("key=value"));
    }
}
