//! Host and port of a URI.

use http::Uri;
use redhanded_core::Authority;

/// Whom a URI names, by the scheme where no port is said; `None` for one without a host, as a server sees it.
pub(crate) fn authority(uri: &Uri) -> Option<Authority<'_>> {
    let text = uri.authority()?.as_str();
    // Most are so, and every call asks.
    if let Some((host, port)) = plain(text) {
        return Some(Authority::new(host, port.or_else(|| port_of_scheme(uri))));
    }
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some(Authority::new(host, port_of(uri)))
}

/// A name or an IPv4 address, and a port if one is said; `None` for anything that needs a closer look.
fn plain(text: &str) -> Option<(&str, Option<u16>)> {
    let is_plain =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'A'..=b'Z');
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|byte| !is_plain(byte));
    let Some(end) = end else {
        return (!text.is_empty()).then_some((text, None));
    };
    let digits = bytes.get(end..)?.strip_prefix(b":")?;
    if end == 0 || digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let mut port = 0_u32;
    for digit in digits {
        port = port * 10 + u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some((text.get(..end)?, Some(u16::try_from(port).ok()?)))
}

/// The port that is said, else the scheme's.
pub(crate) fn port_of(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| port_of_scheme(uri))
}

fn port_of_scheme(uri: &Uri) -> Option<u16> {
    match uri.scheme_str() {
        Some("https" | "wss") => Some(443),
        Some("http" | "ws") => Some(80),
        _ => None,
    }
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
            ("http://api_x.example:81/", "api_x.example", Some(81)),
            ("http://10.0.0.7:65535/", "10.0.0.7", Some(65_535)),
        ] {
            let uri: Uri = uri.parse().expect(uri);
            let found = authority(&uri).expect("has a host");
            assert_eq!((found.host(), found.port()), (host, port), "{uri}");
        }
        assert!(authority(&"/path".parse().expect("a path")).is_none());
    }
}
