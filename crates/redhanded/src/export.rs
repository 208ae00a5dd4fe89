//! The exporter that an install gets, if any.

use redhanded_core::Error;
use redhanded_core::sink::Sink;
use redhanded_report::Service;
use std::path::PathBuf;

/// What code asked for; the environment is stronger.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) endpoint: Option<String>,
    pub(crate) spool: Option<PathBuf>,
}

/// What came of configuring the export.
pub(crate) struct Export {
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
    let Configured {
        export, warnings, ..
    } = options.from_env(service, env);
    Ok(match export {
        redhanded_otlp::Export::On(otlp) => {
            let waits = if has_spool { ", with a spool" } else { "" };
            let note = format!("OTLP to {}{waits}", otlp.url());
            Export {
                sink: Some(Box::new(otlp)),
                warnings,
                note,
            }
        }
        redhanded_otlp::Export::Off { why } => Export {
            sink: None,
            warnings,
            note: format!("no OTLP ({why})"),
        },
    })
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
        sink: None,
        warnings,
        note: "no OTLP (feature otlp is off)".to_owned(),
    })
}
