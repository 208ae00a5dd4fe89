//! OpenTelemetry's environment variables
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). A bad value is warned about and
//! ignored, an empty one is as good as none.

use crate::endpoint::{self, Endpoint, Protocol};
use crate::signal::Signal;
use crate::{headers, names, resource};
use http::HeaderMap;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than this a batch is not worth waiting for: the queue behind it fills up.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Why nothing is exported.
const NOWHERE: &str = "no usable OTLP endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT)";

/// What an exporter is made of.
pub(crate) struct Config {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) files: Files,
    /// Resource attributes that win over the service's.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// What TLS is made of.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "read by TLS only"))]
pub(crate) struct Files {
    /// Root certificates that replace the system's.
    pub(crate) roots: Option<File>,
    /// Our own certificate and its key.
    pub(crate) identity: Option<(File, File)>,
}

/// A PEM file.
#[derive(Debug)]
pub(crate) struct File {
    /// The variable that named it.
    pub(crate) name: String,
    pub(crate) path: String,
}

impl Config {
    /// Defaults for an endpoint.
    pub(crate) fn to(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            headers: HeaderMap::new(),
            timeout: TIMEOUT,
            gzip: false,
            files: Files::default(),
            attributes: BTreeMap::new(),
        }
    }
}

/// Reads the environment for one signal; `Err` says why nothing of it is exported.
pub(crate) fn read(
    signal: Signal,
    env: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Config, String> {
    let mut reader = Reader {
        signal,
        env,
        warnings,
    };
    reader.switched_off()?;
    if reader.forms("ENDPOINT").is_empty() {
        return Err(NOWHERE.to_owned());
    }
    let protocol = reader.protocol();
    let endpoint = reader.endpoint(protocol).ok_or(NOWHERE)?;
    Ok(Config {
        files: reader.files(&endpoint),
        endpoint,
        headers: reader.headers(),
        timeout: reader.timeout().unwrap_or(TIMEOUT),
        gzip: reader.gzip(),
        attributes: reader.attributes(),
    })
}

/// Notes that a value is ignored, and what `then`.
pub(crate) fn warn(warnings: &mut Vec<String>, name: &str, value: &str, then: &str) {
    let value = crate::text::bounded(&endpoint::printable(value), 256);
    warnings.push(format!("{name}={value:?} is ignored: {then}"));
}

struct Reader<'a> {
    signal: Signal,
    env: &'a dyn Fn(&str) -> Option<String>,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// The variables of a setting that are set, that for this signal first, with their values.
    fn forms(&self, setting: &str) -> Vec<(String, String)> {
        let names = [
            format!("OTEL_EXPORTER_OTLP_{}_{setting}", self.signal.name()),
            format!("OTEL_EXPORTER_OTLP_{setting}"),
        ];
        names
            .into_iter()
            .filter_map(|name| self.get(&name).map(|value| (name, value)))
            .collect()
    }

    fn warn(&mut self, name: &str, value: &str, then: &str) {
        warn(self.warnings, name, value, then);
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
        let name = format!("OTEL_{}_EXPORTER", self.signal.name());
        if let Some(value) = self.get(&name) {
            let exporters: Vec<&str> = value.split(',').map(str::trim).collect();
            if exporters.contains(&"none") {
                return Err(format!("{name} is none"));
            }
            // OpenTelemetry knows these for metrics; they are not for us to take for OTLP.
            let other = |exporter: &&&str| matches!(**exporter, "prometheus" | "console");
            if self.signal == Signal::Metrics
                && let Some(other) = exporters.iter().find(other)
                && !exporters.contains(&"otlp")
            {
                let then = "accepted are otlp and none; Prometheus scrapes the handler of feature `prometheus`; no metrics are exported";
                self.warn(&name, &value, then);
                return Err(format!("{name} is {other}"));
            }
            if !exporters.contains(&"otlp") {
                self.warn(&name, &value, "accepted are otlp and none; otlp is used");
            }
        }
        Ok(())
    }

    fn endpoint(&mut self, protocol: Protocol) -> Option<Endpoint> {
        let insecure = protocol == Protocol::Grpc && self.insecure();
        for (name, url) in self.forms("ENDPOINT") {
            let parsed = match protocol {
                Protocol::Grpc => Endpoint::grpc(&url, insecure),
                Protocol::Http if name.contains(&format!("_{}_", self.signal.name())) => {
                    Endpoint::exact(&url)
                }
                Protocol::Http => Endpoint::base(&url, self.signal),
            };
            match parsed {
                Ok(endpoint) => return Some(endpoint.of(self.signal)),
                Err(wrong) => {
                    let accepted = endpoint::accepted(protocol);
                    let then = format!("{wrong}; accepted is {accepted}");
                    self.warn(&name, &url, &then);
                }
            }
        }
        None
    }

    fn protocol(&mut self) -> Protocol {
        for (name, value) in self.forms("PROTOCOL") {
            match value.as_str() {
                "http/protobuf" => return Protocol::Http,
                "grpc" if cfg!(feature = "grpc") => return Protocol::Grpc,
                "grpc" => {
                    // The usual trap: that port speaks gRPC only.
                    let then = "this build has no gRPC (feature `grpc` of redhanded-otlp, `otlp-grpc` of redhanded); accepted is http/protobuf, which is used; collectors expect it at port 4318, not 4317";
                    self.warn(&name, &value, then);
                }
                _ => {
                    let then = if cfg!(feature = "grpc") {
                        "accepted are http/protobuf and grpc; http/protobuf is the default"
                    } else {
                        "accepted is http/protobuf, which is the default"
                    };
                    self.warn(&name, &value, then);
                }
            }
        }
        Protocol::Http
    }

    /// Of a gRPC endpoint without a scheme.
    fn insecure(&mut self) -> bool {
        for (name, value) in self.forms("INSECURE") {
            match value.to_ascii_lowercase().as_str() {
                "true" => return true,
                "false" => return false,
                _ => self.warn(&name, &value, "accepted are true and false"),
            }
        }
        false
    }

    fn gzip(&mut self) -> bool {
        for (name, value) in self.forms("COMPRESSION") {
            match value.to_ascii_lowercase().as_str() {
                "gzip" => return true,
                "none" => return false,
                _ => self.warn(&name, &value, "accepted are gzip and none"),
            }
        }
        false
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

    /// The form for the signal replaces the general one, as in the other SDKs.
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

    fn files(&mut self, endpoint: &Endpoint) -> Files {
        if !endpoint.tls {
            return Files::default();
        }
        let roots = self.file("CERTIFICATE", "the system's roots are used");
        let without = "no client certificate is used";
        let certificate = self.file("CLIENT_CERTIFICATE", without);
        let key = self.file("CLIENT_KEY", without);
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(half), None) | (None, Some(half)) => {
                let then = "a client certificate needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY";
                self.warn(&half.name, &half.path, then);
                None
            }
            (None, None) => None,
        };
        Files { roots, identity }
    }

    /// A file that can be opened.
    fn file(&mut self, setting: &str, otherwise: &str) -> Option<File> {
        for (name, path) in self.forms(setting) {
            match std::fs::File::open(&path) {
                Ok(_) => return Some(File { name, path }),
                Err(error) => {
                    let then = format!("{error}; accepted is a PEM file; {otherwise}");
                    self.warn(&name, &path, &then);
                }
            }
        }
        None
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
