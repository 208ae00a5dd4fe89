//! The exporter that an install gets, if any.

use redhanded_core::Error;
use redhanded_core::sink::Sink;
use redhanded_report::Service;

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
    endpoint: Option<&str>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Export, Error> {
    use redhanded_otlp::{Configured, Otlp};
    // The environment is stronger than the code: what the code says stands in for an unset variable.
    let env = |name: &str| {
        env(name).or_else(|| {
            endpoint
                .filter(|_| name == "OTEL_EXPORTER_OTLP_ENDPOINT")
                .map(str::to_owned)
        })
    };
    if let Some(endpoint) = endpoint {
        Otlp::check(endpoint).map_err(|e| Error::setting(format!("otlp({endpoint:?}): {e}")))?;
    }
    let Configured {
        export, warnings, ..
    } = Otlp::from_env(service, env);
    Ok(match export {
        redhanded_otlp::Export::On(otlp) => {
            let note = format!("OTLP to {}", otlp.url());
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

#[cfg(not(feature = "otlp"))]
pub(crate) fn configure(
    _: &Service,
    _: Option<&str>,
    _: impl Fn(&str) -> Option<String>,
) -> Result<Export, Error> {
    Ok(Export {
        sink: None,
        warnings: Vec::new(),
        note: "no OTLP (feature otlp is off)".to_owned(),
    })
}
