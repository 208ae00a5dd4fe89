//! Secrets stay out: everything that a report stores goes through a [`Redactor`] first.
//!
//! Keys are kept and values become `REDACTED`, so that a reader sees that something was there. A
//! key is judged after percent-decoding, a text is searched for logins in URLs, `key=value` pairs,
//! bearer tokens and percent-encoded text. What this cannot know is a secret without a telling
//! name: a password as a positional literal of an SQL statement, or a token in a path whose route
//! names it `{id}`. The user's own keys are the remedy for the latter.

mod keys;
mod pairs;
pub(crate) mod printable;
mod route;
mod text;

use keys::Keys;
use percent_encoding::percent_decode;
use route::Segment;
use std::borrow::Cow;

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "REDACTED";

/// Headers whose value is a URL or a path.
const URL_HEADERS: [&str; 11] = [
    "referer",
    "referrer",
    "origin",
    "location",
    "content-location",
    "destination",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Knows which names promise a secret, and takes their values out.
#[derive(Clone, Debug)]
pub(crate) struct Redactor {
    keys: Keys,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new([""; 0])
    }
}

impl Redactor {
    /// The default keys and the user's own, in any case and spelling. A key of up to four letters
    /// matches whole words only, a longer one anywhere in a name.
    pub(crate) fn new<I, S>(own_keys: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        Self {
            keys: Keys::new(own_keys),
        }
    }

    /// Whether the value of `key` must not be stored; `key` may be percent-encoded.
    pub(crate) fn is_secret_key(&self, key: &str) -> bool {
        self.is_secret(key.as_bytes(), Plus::IsPlus)
    }

    /// Whether a parameter of the template `route` has the name of a secret.
    pub(crate) fn has_secret_parameter(&self, route: &str) -> bool {
        route::names(route).any(|name| self.is_secret_key(name))
    }

    /// A query as sent, without the question mark: keys kept, secrets out, every byte printable.
    pub(crate) fn query(&self, raw: &[u8]) -> String {
        let pairs = raw.split(|byte| *byte == b'&').map(|pair| {
            let (key, value) = split_once(pair, b'=');
            let key_text = self.component(key, Plus::IsSpace);
            match value {
                None => key_text,
                Some([]) => key_text + "=",
                Some(_) if self.is_secret(key, Plus::IsSpace) => key_text + "=" + REDACTED,
                Some(value) => key_text + "=" + &self.component(value, Plus::IsSpace),
            }
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The decoded pairs of a query in order, secrets out, every byte printable.
    pub(crate) fn query_params(&self, raw: &[u8]) -> Vec<(String, String)> {
        let pairs = raw
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (key, value) = split_once(pair, b'=');
                let secret = self.is_secret(key, Plus::IsSpace);
                let value = value.filter(|value| !value.is_empty()).map(|value| {
                    if secret {
                        REDACTED.to_owned()
                    } else {
                        self.decoded(value, Plus::IsSpace)
                    }
                });
                (self.decoded(key, Plus::IsSpace), value.unwrap_or_default())
            })
            .collect()
    }

    /// A path as sent: segments that `route` gives a secret name are out, every byte printable.
    pub(crate) fn path(&self, raw: &[u8], route: Option<&str>) -> String {
        let (slash, raw) = without_slash(raw);
        let route = route.map(|route| route.strip_prefix('/').unwrap_or(route));
        let layout = route.and_then(|route| route::lay(route, raw));
        let lost = layout.is_none()
            && route.is_some_and(|route| route::names(route).any(|name| self.is_secret_key(name)));
        let mut out = slash.to_owned();
        for (at, segment) in raw.split(|byte| *byte == b'/').enumerate() {
            let place = layout
                .as_ref()
                .map_or(&Segment::Literal, |layout| &layout[at]);
            let literal = || {
                route.is_some_and(|route| route.split('/').any(|part| part.as_bytes() == segment))
            };
            let text = match place {
                Segment::Rest { name } if self.is_secret_key(name) => {
                    return out + if at > 0 { "/" } else { "" } + REDACTED;
                }
                Segment::Param {
                    name,
                    prefix,
                    suffix,
                } if self.is_secret_key(name) => around(segment, *prefix, *suffix),
                // The route has a secret somewhere and we cannot tell where.
                Segment::Literal if lost && !segment.is_empty() && !literal() => {
                    REDACTED.to_owned()
                }
                _ => self.component(segment, Plus::IsPlus),
            };
            if at > 0 {
                out.push('/');
            }
            out.push_str(&text);
        }
        out
    }

    /// The decoded parameters of a path by the names that `route` gives them, secrets out, every
    /// byte printable. Empty when the route does not fit the path.
    pub(crate) fn path_params(&self, raw: &[u8], route: &str) -> Vec<(String, String)> {
        let (_, raw) = without_slash(raw);
        let route = route.strip_prefix('/').unwrap_or(route);
        let Some(layout) = route::lay(route, raw) else {
            return Vec::new();
        };
        let segments: Vec<&[u8]> = raw.split(|byte| *byte == b'/').collect();
        let mut params = Vec::new();
        for (at, place) in layout.iter().enumerate() {
            let (name, value) = match place {
                Segment::Literal => continue,
                Segment::Param {
                    name,
                    prefix,
                    suffix,
                } => (
                    *name,
                    Cow::Borrowed(&segments[at][*prefix..segments[at].len() - *suffix]),
                ),
                Segment::Rest { name } => (*name, Cow::Owned(segments[at..].join(&b'/'))),
            };
            let secret = self.is_secret_key(name) && !value.is_empty();
            let value = if secret {
                REDACTED.to_owned()
            } else {
                self.decoded(&value, Plus::IsPlus)
            };
            params.push((printable::from_bytes(name.as_bytes()), value));
            if matches!(place, Segment::Rest { .. }) {
                break;
            }
        }
        params
    }

    /// An absolute or relative URL: login, path, query and fragment without secrets, every byte
    /// printable. `route` is the template its path may have.
    pub(crate) fn url(&self, raw: &[u8], route: Option<&str>) -> String {
        let raw = text::logins(&printable::from_bytes(raw));
        let (rest, fragment) = split_once(raw.as_bytes(), b'#');
        let (head, query) = split_once(rest, b'?');
        let (origin, path) = split_origin(head);
        let mut out = printable::url_part(origin);
        if !path.is_empty() {
            out += &self.path(path, route);
        }
        if let Some(query) = query {
            out = out + "?" + &self.query(query);
        }
        if let Some(fragment) = fragment {
            out = out + "#" + &self.query(fragment);
        }
        out
    }

    /// A host with an optional port, every byte printable; a login before it is out.
    pub(crate) fn host(&self, raw: &[u8]) -> String {
        let host = raw.iter().rposition(|byte| *byte == b'@');
        let login = if host.is_some() { "REDACTED@" } else { "" };
        login.to_owned() + &printable::url_part(&raw[host.map_or(0, |at| at + 1)..])
    }

    /// Free text such as a panic message or a statement. Line ends and other control characters
    /// stay; [`printable::from_bytes`] is the step before or after.
    pub(crate) fn text(&self, text: &str) -> String {
        text::redact(text, &self.keys)
    }

    /// The value of the header `name`, every byte printable. `route` is the template that the path
    /// in a referer may have.
    pub(crate) fn header(&self, name: &str, value: &[u8], route: Option<&str>) -> String {
        if value.is_empty() {
            String::new()
        } else if self.is_secret_key(name) {
            REDACTED.to_owned()
        } else if URL_HEADERS.iter().any(|url| name.eq_ignore_ascii_case(url)) {
            self.url(value, route)
        } else {
            self.text(&printable::from_bytes(value))
        }
    }

    fn is_secret(&self, raw_key: &[u8], plus: Plus) -> bool {
        self.keys
            .is_secret(&String::from_utf8_lossy(&plus.decode(raw_key)))
    }

    /// A component of a URL as sent, or encoded anew where something in it had to go.
    fn component(&self, raw: &[u8], plus: Plus) -> String {
        let decoded = printable::from_bytes(&plus.decode(raw));
        let clean = self.text(&decoded);
        if clean == decoded {
            printable::url_part(raw)
        } else {
            text::component(&clean)
        }
    }

    fn decoded(&self, raw: &[u8], plus: Plus) -> String {
        self.text(&printable::from_bytes(&plus.decode(raw)))
    }
}

/// What a `+` means: a space in a query, itself in a path.
#[derive(Clone, Copy)]
enum Plus {
    IsSpace,
    IsPlus,
}

impl Plus {
    fn decode(self, raw: &[u8]) -> Vec<u8> {
        match self {
            Self::IsPlus => percent_decode(raw).collect(),
            Self::IsSpace => {
                let spaced: Vec<u8> = raw
                    .iter()
                    .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                    .collect();
                percent_decode(&spaced).collect()
            }
        }
    }
}

/// A segment whose parameter stands between literal text.
fn around(segment: &[u8], prefix: usize, suffix: usize) -> String {
    let end = segment.len() - suffix;
    let secret = if prefix < end { REDACTED } else { "" };
    printable::url_part(&segment[..prefix]) + secret + &printable::url_part(&segment[end..])
}

fn without_slash(path: &[u8]) -> (&'static str, &[u8]) {
    path.strip_prefix(b"/")
        .map_or(("", path), |rest| ("/", rest))
}

/// `scheme://authority` and the path behind it.
pub(crate) fn split_origin(url: &[u8]) -> (&[u8], &[u8]) {
    let Some(scheme) = url.windows(3).position(|window| window == b"://") else {
        return (b"", url);
    };
    if url[..scheme].contains(&b'/') {
        return (b"", url);
    }
    let authority = scheme + 3;
    let path = url[authority..].iter().position(|byte| *byte == b'/');
    url.split_at(path.map_or(url.len(), |at| authority + at))
}

pub(crate) fn split_once(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(found) => (&bytes[..found], Some(&bytes[found + 1..])),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests;
