//! Host and port of a URI.

use http::Uri;
use redhanded_core::Authority;

/// Host and port, by the scheme where no port is said; as they are written together, too.
#[derive(Debug)]
pub(crate) struct Target {
    text: String,
    host_bytes: usize,
    port: Option<u16>,
}

impl Target {
    /// `None` for a URI without a host, as a server sees it.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let host = uri.host().filter(|host| !host.is_empty())?;
        let port = port_of(uri);
        let mut text = String::with_capacity(host.len() + 6);
        text.push_str(host);
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        Some(Self {
            host_bytes: host.len(),
            text,
            port: port.filter(|port| *port != 0),
        })
    }

    pub(crate) fn authority(&self) -> Authority<'_> {
        let host = self.text.get(..self.host_bytes).unwrap_or_default();
        Authority::new(&self.text, host, self.port)
    }
}

/// The port that is said, else the scheme's.
pub(crate) fn port_of(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https" | "wss") => Some(443),
        Some("http" | "ws") => Some(80),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_said_or_follows_from_the_scheme() {
        for (uri, text, host, port) in [
            (
                "https://api.example/v1",
                "api.example:443",
                "api.example",
                Some(443),
            ),
            (
                "http://api.example",
                "api.example:80",
                "api.example",
                Some(80),
            ),
            (
                "http://u:p@api.example:81/",
                "api.example:81",
                "api.example",
                Some(81),
            ),
            ("http://[::1]:8080/", "[::1]:8080", "::1", Some(8080)),
            (
                "http://api.example:0/",
                "api.example:0",
                "api.example",
                None,
            ),
            (
                "api.example:5432",
                "api.example:5432",
                "api.example",
                Some(5432),
            ),
        ] {
            let target = Target::of(&uri.parse().expect(uri)).expect(uri);
            let authority = target.authority();
            assert_eq!(
                (authority.as_str(), authority.host(), authority.port()),
                (text, host, port),
                "{uri}"
            );
        }
        assert!(Target::of(&"/path".parse().expect("a path")).is_none());
    }
}
