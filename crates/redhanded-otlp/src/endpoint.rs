//! Where to send to.

use crate::signal::Signal;
use http::Uri;

/// What an endpoint has to look like, for messages.
#[cfg(feature = "tls")]
pub(crate) const ACCEPTED: &str =
    "a URL such as http://localhost:4318 or https://collector.example";
#[cfg(not(feature = "tls"))]
pub(crate) const ACCEPTED: &str = "a URL such as http://localhost:4318 (https needs redhanded-otlp to be built with feature `tls`)";

/// The same for an endpoint from the environment.
pub(crate) fn accepted(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => ACCEPTED,
        Protocol::Grpc if cfg!(feature = "tls") => {
            "a URL such as http://localhost:4317 or https://collector.example, or host:port"
        }
        Protocol::Grpc => {
            "a URL such as http://localhost:4317 (https needs redhanded-otlp to be built with feature `tls`)"
        }
    }
}

/// How to speak to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    Http,
}

/// A URL that this build can post to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Value of the `Host` header.
    pub(crate) authority: String,
    /// Path and query of the request line.
    pub(crate) target: String,
}

impl Endpoint {
    /// The URL as it is, for `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and its likes.
    pub(crate) fn exact(url: &str) -> Result<Self, String> {
        Self::parse(url, |path| path.to_owned())
    }

    /// A base URL to which the path of the signal is appended, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn base(url: &str, signal: Signal) -> Result<Self, String> {
        Self::parse(url, |path| {
            path.trim_end_matches('/').to_owned() + signal.path()
        })
    }

    /// The same for another signal, where the path says which.
    pub(crate) fn of(mut self, signal: Signal) -> Self {
        if self.protocol == Protocol::Grpc {
            signal.grpc_path().clone_into(&mut self.target);
        }
        self
    }

    /// A host to call by gRPC, whose paths are its own: a URL, or `host:port`, which is encrypted unless `insecure`.
    pub(crate) fn grpc(url: &str, insecure: bool) -> Result<Self, String> {
        let url = url.trim();
        let scheme = if insecure { "http" } else { "https" };
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("{scheme}://{url}")
        };
        let mut endpoint = Self::parse(&url, str::to_owned)?;
        if !["", "/"].contains(&endpoint.target.as_str()) {
            return Err("gRPC has a path of its own".to_owned());
        }
        endpoint.protocol = Protocol::Grpc;
        Signal::Traces.grpc_path().clone_into(&mut endpoint.target);
        Ok(endpoint)
    }

    fn parse(url: &str, path: impl Fn(&str) -> String) -> Result<Self, String> {
        let uri: Uri = url
            .trim()
            .parse()
            .map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err("this build has no TLS".to_owned()),
            Some(_) | None => return Err("the scheme is not http or https".to_owned()),
        };
        let authority = uri.authority().ok_or("there is no host")?;
        if authority.as_str().contains('@') {
            return Err("credentials belong into OTEL_EXPORTER_OTLP_HEADERS".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("there is no host".to_owned());
        }
        let query = uri
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        Ok(Self {
            protocol: Protocol::Http,
            host: host.to_owned(),
            port: port(authority, tls)?,
            tls,
            authority: authority.to_string(),
            target: path(uri.path()) + &query,
        })
    }

    /// The URL for a line that people read: gRPC's path tells them nothing.
    pub(crate) fn shown(&self) -> String {
        match self.protocol {
            Protocol::Http => self.to_string(),
            Protocol::Grpc => self.to_string().replace(&self.target, "") + " (gRPC)",
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

fn port(authority: &http::uri::Authority, tls: bool) -> Result<u16, String> {
    match authority.port() {
        // "host:0" parses, and a connection to it never succeeds.
        Some(port) if port.as_u16() != 0 => Ok(port.as_u16()),
        Some(_) => Err("the port is 0".to_owned()),
        None if authority.as_str().ends_with(']') || !authority.as_str().contains(':') => {
            Ok(if tls { 443 } else { 80 })
        }
        None => Err("the port is not a number up to 65535".to_owned()),
    }
}

/// The URL for a message: what stands before `@` may be a password.
pub(crate) fn printable(url: &str) -> String {
    let url: String = url
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    match (url.find("//"), url.rfind('@')) {
        (Some(slashes), Some(at)) if slashes < at => {
            format!("{}REDACTED{}", &url[..slashes + 2], &url[at..])
        }
        (None, Some(at)) => format!("REDACTED{}", &url[at..]),
        _ => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(endpoint: Result<Endpoint, String>) -> String {
        endpoint.map_or_else(
            |error| error,
            |e| format!("{} {} {}", e.host, e.port, e.target),
        )
    }

    #[test]
    fn the_signal_path_is_appended_to_a_base_only() {
        assert_eq!(
            target(Endpoint::base("http://c:4318", Signal::Traces)),
            "c 4318 /v1/traces"
        );
        assert_eq!(
            target(Endpoint::base("http://c:4318/", Signal::Traces)),
            "c 4318 /v1/traces"
        );
        assert_eq!(
            target(Endpoint::base("http://c/otlp/?k=1", Signal::Traces)),
            "c 80 /otlp/v1/traces?k=1"
        );
        assert_eq!(target(Endpoint::exact("http://c")), "c 80 /");
        assert_eq!(target(Endpoint::exact("http://c/x/")), "c 80 /x/");
        assert_eq!(
            target(Endpoint::base("http://[::1]:4318", Signal::Traces)),
            "::1 4318 /v1/traces"
        );
        assert_eq!(
            target(Endpoint::base("http://[::1]", Signal::Traces)),
            "::1 80 /v1/traces"
        );
    }

    #[test]
    fn each_signal_has_a_path_of_its_own() {
        let metrics = Endpoint::base("http://c:4318", Signal::Metrics);
        assert_eq!(target(metrics), "c 4318 /v1/metrics");
        let called = Endpoint::grpc("http://c:4317", false).map(|e| e.of(Signal::Metrics));
        let path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
        assert_eq!(target(called.clone()), format!("c 4317 {path}"));
        assert_eq!(
            called.map(|e| e.shown()),
            Ok("http://c:4317 (gRPC)".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        for bad in [
            "",
            "localhost",
            "localhost:4318",
            "/v1",
            "ftp://c",
            "http://",
            "http://c:0",
            "http://c:99999",
            "unix:///x",
        ] {
            assert!(Endpoint::base(bad, Signal::Traces).is_err(), "{bad}");
        }
        assert_eq!(
            Endpoint::base("https://c", Signal::Traces).is_ok(),
            cfg!(feature = "tls")
        );
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn grpc_takes_hosts_and_has_a_path_of_its_own() {
        for (url, insecure, tls) in [
            ("http://c:4317", false, false),
            ("http://c:4317/", true, false),
            ("https://c:4317", true, true),
            ("c:4317", true, false),
            ("c:4317", false, true),
        ] {
            let endpoint = Endpoint::grpc(url, insecure);
            if tls && cfg!(not(feature = "tls")) {
                assert!(endpoint.is_err_and(|e| e.contains("TLS")), "{url}");
                continue;
            }
            let endpoint = endpoint.unwrap();
            assert_eq!((endpoint.port, endpoint.tls), (4317, tls), "{url}");
            assert_eq!(endpoint.protocol, Protocol::Grpc);
            assert_eq!(endpoint.target, Signal::Traces.grpc_path());
            assert!(
                endpoint.shown().ends_with("://c:4317 (gRPC)"),
                "{}",
                endpoint.shown()
            );
        }
        for bad in [
            "",
            "http://c/prefix",
            "http://c?k=1",
            "c:x",
            "unix:///x",
            "u:p@c:4317",
        ] {
            assert!(Endpoint::grpc(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        let url = "http://user:hunter2@c:4318";
        assert!(Endpoint::base(url, Signal::Traces).is_err());
        assert_eq!(printable(url), "http://REDACTED@c:4318");
        assert_eq!(printable("user:hunter2@c"), "REDACTED@c");
    }
}
