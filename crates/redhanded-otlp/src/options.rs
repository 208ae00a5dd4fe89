//! What an exporter can be told besides where to.

use crate::config::{self, Config};
use crate::error::Error;
use crate::otlp::{Configured, Export, Otlp, parse};
use crate::signal::Signal;
use crate::spool::Spool;
use redhanded_report::Service;
use std::time::Duration;

/// Settings of an exporter that OpenTelemetry has no variables for.
///
/// ```
/// use redhanded_otlp::{Options, Spool};
/// # use redhanded_report::Service;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let options = Options::default().spool(Spool::open(directory)?);
/// let otlp = options.to("http://localhost:4318", &Service::default())?;
/// # drop(otlp);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is exported before from_env() or to()"]
pub struct Options {
    pub(crate) spool: Option<Spool>,
    pub(crate) longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            spool: None,
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Where reports wait while the collector is away. Default: in memory only.
    pub fn spool(mut self, spool: Spool) -> Self {
        self.spool = Some(spool);
        self
    }

    /// Up to how long pauses grow while the collector is away, give or take a half by chance: so long after it is back
    /// it may take until it is found to be. At least 1 ms. Default: 30 s.
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause.max(Duration::from_millis(1));
        self
    }

    /// As [`Otlp::from_env`].
    pub fn from_env(self, service: &Service, env: impl Fn(&str) -> Option<String>) -> Configured {
        let mut warnings = Vec::new();
        let export = match config::read(Signal::Traces, &env, &mut warnings) {
            Ok(config) => match Otlp::start(config, self, service) {
                Ok(otlp) => Export::On(otlp),
                Err(error) => {
                    warnings.push(error.to_string());
                    Export::Off {
                        why: error.to_string(),
                    }
                }
            },
            Err(why) => Export::Off { why },
        };
        Configured { export, warnings }
    }

    /// As [`Otlp::to`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn to(self, endpoint: &str, service: &Service) -> Result<Otlp, Error> {
        Otlp::start(Config::to(parse(endpoint)?), self, service)
    }
}
