//! The exporter that an install gets, if any.

use redhanded_core::sink::Sink;
use redhanded_core::{Error, Installed};
use redhanded_report::Service;
use std::path::PathBuf;
use std::time::Duration;

/// What code asked for; the environment is stronger.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) endpoint: Option<String>,
    pub(crate) spool: Option<PathBuf>,
}

/// An export of metrics that runs until it is dropped.
#[cfg(feature = "otlp")]
pub(crate) type Metrics = redhanded_otlp::metrics::MetricsExport;
/// What is to become one.
#[cfg(feature = "otlp")]
pub(crate) type Planned = redhanded_otlp::metrics::Planned;

/// There is none.
#[cfg(not(feature = "otlp"))]
#[derive(Debug)]
pub(crate) enum Metrics {}
#[cfg(not(feature = "otlp"))]
pub(crate) use Metrics as Planned;

/// What came of configuring the export.
pub(crate) struct Export {
    /// To be started once there is something to count.
    pub(crate) metrics: Option<Planned>,
    pub(crate) sink: Option<Box<dyn Sink>>,
    pub(crate) warnings: Vec<String>,
    /// For the line at start.
    pub(crate) note: String,
}

#[cfg(feature = "otlp")]
pub(crate) fn configure(
    service: &Service,
    wish: &Wish,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Export, Error> {
    use redhanded_otlp::{Configured, Options, Otlp};
    let endpoint = wish.endpoint.as_deref();
    if let Some(endpoint) = endpoint {
        Otlp::check(endpoint).map_err(|e| Error::setting(format!("otlp({endpoint:?}): {e}")))?;
    }
    let spool = spool(wish, &env)?;
    let (options, has_spool) = match spool {
        Some(spool) => (Options::default().spool(spool), true),
        None => (Options::default(), false),
    };
    // What the code says stands in for an unset variable.
    let env = |name: &str| {
        env(name).or_else(|| {
            endpoint
                .filter(|_| name == "OTEL_EXPORTER_OTLP_ENDPOINT")
                .map(str::to_owned)
        })
    };
    let planned = redhanded_otlp::metrics::MetricsExport::from_env(env);
    let Configured {
        export,
        mut warnings,
        ..
    } = options.from_env(service, env);
    // What is wrong with a variable for all signals is said once.
    for warning in planned.warnings {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let metrics = planned.plan.ok();
    let told = if metrics.is_some() {
        ", metrics too"
    } else {
        ""
    };
    Ok(match export {
        redhanded_otlp::Export::On(otlp) => {
            let waits = if has_spool { ", with a spool" } else { "" };
            let note = format!("OTLP to {}{waits}{told}", otlp.url());
            Export {
                metrics,
                sink: Some(Box::new(otlp)),
                warnings,
                note,
            }
        }
        redhanded_otlp::Export::Off { why } => Export {
            note: match &metrics {
                Some(_) => format!("no spans by OTLP ({why}), but metrics"),
                None => format!("no OTLP ({why})"),
            },
            metrics,
            sink: None,
            warnings,
        },
    })
}

/// Begins to export the metrics of `installed`; says what is wrong if it cannot.
#[cfg(feature = "otlp")]
pub(crate) fn start_metrics(planned: Planned, installed: &Installed) -> Result<Metrics, String> {
    let (source, lost) = (installed.numbers().clone(), installed.numbers().clone());
    source.start();
    let service = &installed.engine().config().service;
    let started = planned.start(
        service,
        move || source.snapshot(),
        move |why| lost.count_lost_export(why),
    );
    started.map_err(|error| format!("metrics are not exported: {error}"))
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn start_metrics(planned: Planned, _: &Installed) -> Result<Metrics, String> {
    match planned {}
}

/// Sends what there is now, and waits for that until `deadline`; with `end` it was the last time.
#[cfg(feature = "otlp")]
pub(crate) fn flush_metrics(metrics: &Metrics, deadline: Duration, end: bool) {
    // What does not arrive is counted there.
    let _ = if end {
        metrics.shutdown(deadline)
    } else {
        metrics.flush(deadline)
    };
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn flush_metrics(metrics: &Metrics, _: Duration, _: bool) {
    match *metrics {}
}

/// The directory where reports wait for the collector, if there is to be one.
#[cfg(feature = "otlp")]
fn spool(
    wish: &Wish,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Option<redhanded_otlp::Spool>, Error> {
    let (said, directory) = match env("REDHANDED_SPOOL") {
        Some(value) if value == "off" => return Ok(None),
        Some(value) => (
            format!("REDHANDED_SPOOL={value:?}"),
            Some(PathBuf::from(value)),
        ),
        None => (format!("spool({:?})", wish.spool), wish.spool.clone()),
    };
    let Some(directory) = directory else {
        return Ok(None);
    };
    if directory.as_os_str().is_empty() {
        return Err(Error::setting(format!(
            "{said} is not accepted; give a directory that can be made, written and locked, or off"
        )));
    }
    let opened = redhanded_otlp::Spool::open(&directory);
    // It says what a directory must be.
    opened
        .map(Some)
        .map_err(|error| Error::setting(format!("{said}: {error}, or off")))
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn configure(
    _: &Service,
    wish: &Wish,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Export, Error> {
    let mut warnings = Vec::new();
    if env("REDHANDED_SPOOL").is_some() || wish.spool.is_some() || wish.endpoint.is_some() {
        warnings.push("REDHANDED_SPOOL is ignored: feature otlp is off".to_owned());
    }
    Ok(Export {
        metrics: None,
        sink: None,
        warnings,
        note: "no OTLP (feature otlp is off)".to_owned(),
    })
}
