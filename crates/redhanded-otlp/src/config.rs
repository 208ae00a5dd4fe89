//! OpenTelemetry's environment variables
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). A bad value is warned about and
//! ignored, an empty one is as good as none.

use crate::endpoint::{self, Endpoint};
use crate::{headers, names, resource};
use http::HeaderMap;
use opentelemetry_otlp::Compression;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than this a batch is not worth waiting for: the queue behind it fills up.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What an exporter is made of.
pub(crate) struct Config {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) compression: Option<Compression>,
    /// PEM file of root certificates.
    pub(crate) roots: Option<String>,
    /// Resource attributes that win over the service's.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Config {
    /// Defaults for an endpoint.
    pub(crate) fn to(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            headers: HeaderMap::new(),
            timeout: TIMEOUT,
            compression: None,
            roots: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// Reads the environment; `Err` says why nothing is exported.
pub(crate) fn read(
    env: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Config, String> {
    let mut reader = Reader { env, warnings };
    reader.switched_off()?;
    let endpoint = reader
        .endpoint()
        .ok_or("no usable OTLP endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT)")?;
    reader.protocol();
    Ok(Config {
        roots: reader.roots(&endpoint),
        endpoint,
        headers: reader.headers(),
        timeout: reader.timeout().unwrap_or(TIMEOUT),
        compression: reader.compression(),
        attributes: reader.attributes(),
    })
}

struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// The variables of a setting that are set, that for traces first, with their values.
    fn forms(&self, setting: &str) -> Vec<(String, String)> {
        let names = [
            format!("OTEL_EXPORTER_OTLP_TRACES_{setting}"),
            format!("OTEL_EXPORTER_OTLP_{setting}"),
        ];
        names
            .into_iter()
            .filter_map(|name| self.get(&name).map(|value| (name, value)))
            .collect()
    }

    fn warn(&mut self, name: &str, value: &str, then: &str) {
        let value = crate::text::bounded(&endpoint::printable(value), 256);
        self.warnings
            .push(format!("{name}={value:?} is ignored: {then}"));
    }

    fn switched_off(&mut self) -> Result<(), String> {
        if let Some(value) = self.get("OTEL_SDK_DISABLED") {
            if value.eq_ignore_ascii_case("true") {
                return Err("OTEL_SDK_DISABLED is true".to_owned());
            }
            if !value.eq_ignore_ascii_case("false") {
                self.warn("OTEL_SDK_DISABLED", &value, "accepted are true and false");
            }
        }
        if let Some(value) = self.get("OTEL_TRACES_EXPORTER") {
            let exporters: Vec<&str> = value.split(',').map(str::trim).collect();
            if exporters.contains(&"none") {
                return Err("OTEL_TRACES_EXPORTER is none".to_owned());
            }
            if !exporters.contains(&"otlp") {
                self.warn(
                    "OTEL_TRACES_EXPORTER",
                    &value,
                    "accepted are otlp and none; otlp is used",
                );
            }
        }
        Ok(())
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        for (name, url) in self.forms("ENDPOINT") {
            let parsed = if name.contains("_TRACES_") {
                Endpoint::exact(&url)
            } else {
                Endpoint::base(&url)
            };
            match parsed {
                Ok(endpoint) => return Some(endpoint),
                Err(wrong) => self.warn(
                    &name,
                    &url,
                    &format!("{wrong}; accepted is {}", endpoint::ACCEPTED),
                ),
            }
        }
        None
    }

    fn protocol(&mut self) {
        let Some((name, value)) = self.forms("PROTOCOL").into_iter().next() else {
            return;
        };
        if value != "http/protobuf" {
            // The usual trap: that port speaks gRPC only.
            let used = "accepted is http/protobuf, which is used; collectors expect it at port 4318, not 4317";
            self.warn(&name, &value, used);
        }
    }

    /// As opentelemetry-otlp reads it, which does so again where we say nothing.
    fn compression(&mut self) -> Option<Compression> {
        for (name, value) in self.forms("COMPRESSION") {
            match value.to_ascii_lowercase().as_str() {
                "gzip" => return Some(Compression::Gzip),
                "none" => return None,
                _ => self.warn(&name, &value, "accepted are gzip and none"),
            }
        }
        None
    }

    fn timeout(&mut self) -> Option<Duration> {
        for (name, value) in self.forms("TIMEOUT") {
            match value.parse().map(Duration::from_millis) {
                Ok(timeout) if (Duration::from_millis(1)..=LONGEST_TIMEOUT).contains(&timeout) => {
                    return Some(timeout);
                }
                Ok(_) | Err(_) => {
                    self.warn(&name, &value, "accepted are milliseconds from 1 to 60000")
                }
            }
        }
        None
    }

    /// The form for traces replaces the general one, as in the other SDKs.
    fn headers(&mut self) -> HeaderMap {
        let Some((name, list)) = self.forms("HEADERS").into_iter().next() else {
            return HeaderMap::new();
        };
        let (headers, complaints) = headers::parse(&list);
        for wrong in complaints {
            // Not the value: it may be a secret.
            let accepted = "accepted is key=value,key=value with percent-encoded values";
            self.warnings
                .push(format!("{name}: {wrong} and is ignored: {accepted}"));
        }
        headers
    }

    fn roots(&mut self, endpoint: &Endpoint) -> Option<String> {
        if !endpoint.tls {
            return None;
        }
        for (name, value) in [self.forms("CLIENT_CERTIFICATE"), self.forms("CLIENT_KEY")].concat() {
            self.warn(&name, &value, "client certificates are not supported");
        }
        let (name, path) = self.forms("CERTIFICATE").into_iter().next()?;
        if let Err(error) = std::fs::File::open(&path) {
            let then = format!("{error}; accepted is a PEM file; the system's roots are used");
            self.warn(&name, &path, &then);
            return None;
        }
        Some(path)
    }

    fn attributes(&mut self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        if let Some(list) = self.get("OTEL_RESOURCE_ATTRIBUTES") {
            match resource::parse(&list) {
                Ok(parsed) => attributes = parsed,
                Err(wrong) => {
                    let then = format!(
                        "{wrong}; accepted is key=value,key=value with percent-encoded values"
                    );
                    self.warn("OTEL_RESOURCE_ATTRIBUTES", &list, &then);
                }
            }
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            attributes.insert(names::SERVICE_NAME.to_owned(), name);
        }
        attributes
    }
}
