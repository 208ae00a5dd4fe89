//! Host and port of a URI.

use http::Uri;
use redhanded_core::Authority;

/// Whom a URI names, by the scheme where no port is said; `None` for one without a host, as a server sees it.
pub(crate) fn authority(uri: &Uri) -> Option<Authority<'_>> {
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some(Authority::new(host, port_of(uri)))
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
        for (uri, host, port) in [
            ("https://api.example/v1", "api.example", Some(443)),
            ("http://api.example", "api.example", Some(80)),
            ("http://u:p@api.example:81/", "api.example", Some(81)),
            ("http://[::1]:8080/", "::1", Some(8080)),
            ("http://api.example:0/", "api.example", None),
            ("api.example:5432", "api.example", Some(5432)),
        ] {
            let uri: Uri = uri.parse().expect(uri);
            let found = authority(&uri).expect("has a host");
            assert_eq!((found.host(), found.port()), (host, port), "{uri}");
        }
        assert!(authority(&"/path".parse().expect("a path")).is_none());
    }
}
