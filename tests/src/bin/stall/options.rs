//! The command line.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What the server is to do.
#[derive(Debug)]
pub(crate) struct Options {
    /// Names of the stalls it serves.
    pub(crate) stalls: Vec<String>,
    /// `--without`: nobody watches.
    pub(crate) without: bool,
    /// `--workers N`; `None` after `--current-thread`.
    pub(crate) workers: Option<usize>,
    /// `--blocking-threads N`, where it is not tokio's default.
    pub(crate) blocking_threads: Option<usize>,
    /// `--slow-after MS`.
    pub(crate) slow_after: Duration,
    /// `--route TEMPLATE MS`: another threshold for a route.
    pub(crate) routes: Vec<(String, Duration)>,
    /// `--header NAME`: the only headers that may stand in a report.
    pub(crate) headers: Vec<String>,
    /// `--log PATH`; without it the default or the environment decides.
    pub(crate) log: Option<PathBuf>,
    /// `--own-urgent`: the application handles `SIGURG` itself.
    pub(crate) own_urgent: bool,
    /// `--health ADDRESS`, `--agent ADDRESS`: where health checks are answered.
    pub(crate) health: Option<SocketAddr>,
    pub(crate) agent: Option<SocketAddr>,
    /// `--restart-after MS`: when it is not alive.
    pub(crate) restart_after: Option<Duration>,
    /// `--metrics`: requests are counted, and told at `/metrics`.
    pub(crate) metrics: bool,
    /// `--listener`: its connections are watched.
    pub(crate) listener: bool,
    /// `--port N`, where it matters which.
    pub(crate) port: u16,
    /// `--exit-after MS`: leaves `main` in the middle of everything.
    pub(crate) exit_after: Option<Duration>,
    /// `--shutdown-after MS`: ends the watching properly, then leaves.
    pub(crate) shutdown_after: Option<Duration>,
}

impl Options {
    pub(crate) fn from_args(
        mut args: impl Iterator<Item = String>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            stalls: Vec::new(),
            without: false,
            workers: Some(2),
            blocking_threads: None,
            slow_after: Duration::from_millis(500),
            routes: Vec::new(),
            headers: Vec::new(),
            log: None,
            own_urgent: false,
            health: None,
            agent: None,
            restart_after: None,
            metrics: false,
            listener: false,
            port: 0,
            exit_after: None,
            shutdown_after: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--without" => options.without = true,
                "--workers" => options.workers = Some(parsed(&value()?)?),
                "--blocking-threads" => options.blocking_threads = Some(parsed(&value()?)?),
                "--current-thread" => options.workers = None,
                "--slow-after" => options.slow_after = millis(&value()?)?,
                "--route" => options.routes.push((value()?, millis(&value()?)?)),
                "--header" => options.headers.push(value()?),
                "--log" => options.log = Some(value()?.into()),
                "--own-urgent" => options.own_urgent = true,
                "--health" => options.health = Some(parsed(&value()?)?),
                "--agent" => options.agent = Some(parsed(&value()?)?),
                "--restart-after" => options.restart_after = Some(millis(&value()?)?),
                "--metrics" => options.metrics = true,
                "--listener" => options.listener = true,
                "--port" => options.port = parsed(&value()?)?,
                "--exit-after" => options.exit_after = Some(millis(&value()?)?),
                "--shutdown-after" => options.shutdown_after = Some(millis(&value()?)?),
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}").into());
                }
                stall => options.stalls.push(stall.to_owned()),
            }
        }
        Ok(options)
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{value:?}: {error}"))
}

fn millis(value: &str) -> Result<Duration, String> {
    parsed(value).map(Duration::from_millis)
}
