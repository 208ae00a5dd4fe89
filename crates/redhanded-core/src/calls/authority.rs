//! Whom a call is for, as people write it.

/// A host and, where it is known, a port; taken from whatever stands for it.
///
/// `db1:5432`, `[fe80::1%eth0]:6379`, `::1`, and the beginning of a URL, whose scheme, login and path
/// are left out. What cannot be understood is taken for a name as it is.
///
/// ```
/// use redhanded_core::Authority;
/// let db = Authority::parse("postgres://app:secret@db1:5432/shop");
/// assert_eq!((db.host(), db.port(), db.to_string().as_str()), ("db1", Some(5432), "db1:5432"));
/// let link_local = Authority::parse("[fe80::1%eth0]:6379");
/// assert_eq!((link_local.host(), link_local.port()), ("fe80::1%eth0", Some(6379)));
/// let wrong = Authority::parse("db1:99999");
/// assert_eq!((wrong.host(), wrong.port()), ("db1:99999", None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Takes host and port out of `text`. Never fails: see [`Authority`].
    pub fn parse(text: &'a str) -> Self {
        let text = without_url(text.trim());
        let (host, port) = split(text).unwrap_or((text, None));
        Self { host, port }
    }

    /// A host and a port that are known apart.
    pub fn new(host: &'a str, port: Option<u16>) -> Self {
        let without = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Self {
            host: without.unwrap_or(host),
            port: port.filter(|port| *port != 0),
        }
    }

    /// The host; an IPv6 address stands without brackets.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The port; `None` if there is none, and for 0, which nobody can be called at.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl std::fmt::Display for Authority<'_> {
    /// Host and port as they are written together.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(self.host),
        }
    }
}

/// Scheme, login, path and query are no part of an authority, and a login is a secret.
fn without_url(text: &str) -> &str {
    let (is_url, rest) = match text.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, text),
    };
    // The path of a Unix socket is a name.
    if !is_url && rest.starts_with('/') {
        return rest;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or(rest);
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// Host and port; `None` if it is neither with nor without one.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => port(digits)?,
            None if rest.is_empty() => None,
            None => return None,
        };
        return Some((host, port));
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address without brackets, and so without a port.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, digits)) => Some((host, port(digits)?)),
        None => Some((text, None)),
    }
}

/// `None` for what is no port; 0 is one, and nobody's.
fn port(digits: &str) -> Option<Option<u16>> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = digits.parse().ok().filter(|_| is_number)?;
    Some((port != 0).then_some(port))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (text, host, port) in [
            ("db1:5432", "db1", Some(5432)),
            ("db1", "db1", None),
            ("db1:0", "db1", None),
            (" db1:5432 ", "db1", Some(5432)),
            ("10.0.0.7:80", "10.0.0.7", Some(80)),
            ("::1", "::1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[::1]", "::1", None),
            ("[fe80::1%3]:53", "fe80::1%3", Some(53)),
            ("https://api.example/v1?key=x", "api.example", None),
            ("redis://:pw@cache:6379/0", "cache", Some(6379)),
            ("amqp://u:p@w@mq:5672", "mq", Some(5672)),
            (
                "/run/postgresql/.s.PGSQL.5432",
                "/run/postgresql/.s.PGSQL.5432",
                None,
            ),
            ("", "", None),
            // Not understood, and a name as it is.
            ("db1:http", "db1:http", None),
            ("db1:99999", "db1:99999", None),
            ("db1:+80", "db1:+80", None),
            ("[::1", "[::1", None),
            ("[::1]x", "[::1]x", None),
        ] {
            let parsed = Authority::parse(text);
            assert_eq!((parsed.host(), parsed.port()), (host, port), "{text:?}");
        }
    }

    #[test]
    fn a_login_is_in_no_part_of_it() {
        let parsed = Authority::parse("app:secret@db1:5432");
        assert_eq!(
            (parsed.to_string().as_str(), parsed.host()),
            ("db1:5432", "db1")
        );
    }

    #[test]
    fn brackets_are_for_writing() {
        let known = Authority::new("[::1]", Some(80));
        assert_eq!(
            (known.host(), known.to_string().as_str()),
            ("::1", "[::1]:80")
        );
    }
}
