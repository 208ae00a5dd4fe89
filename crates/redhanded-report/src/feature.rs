//! What can be said of a request that other requests may have in common with it.

use crate::Request;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Features of one request.
const MOST: usize = 64;
/// Bytes that are kept of a key.
const KEY_BYTES: usize = 48;
/// A longer value is told by its length alone.
const VALUE_BYTES: usize = 64;
/// What a redacted value looks like: nothing but its presence is anybody's business.
const REDACTED: &str = "REDACTED";

/// One thing that is true of a request, such as `query.q has 24 bytes or more`.
///
/// Features are compared by name, kind and value; their [`Display`](fmt::Display) is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Feature {
    /// Where it was seen: `query.KEY`, `path.KEY`, `header.KEY`, `label.KEY`, `job.KEY`, `body`,
    /// `client`, `method`; `path` where there is no route.
    pub name: String,
    /// What is said of it.
    pub kind: FeatureKind,
    /// The value, class or bound; empty where the kind says all.
    pub value: String,
}

/// What a [`Feature`] says of a parameter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeatureKind {
    /// It is exactly `value`.
    #[default]
    Value,
    /// It is there.
    Present,
    /// It is not there, although most normal requests have it.
    Absent,
    /// It has at least `value` bytes.
    Length,
    /// It is a number of at least `value`; `negative` for one below zero.
    Number,
    /// It is no number.
    Text,
    /// Its key comes at least `value` times.
    Repeats,
    /// The address is in the network `value`.
    Network,
    /// What a newer writer says and this version does not know.
    #[serde(other)]
    Unknown,
}

impl FeatureKind {
    /// Most are, and the record then leaves the kind out.
    pub(crate) fn is_value(&self) -> bool {
        *self == Self::Value
    }
}

impl Feature {
    /// A feature of three parts.
    pub fn new(name: impl Into<String>, kind: FeatureKind, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind,
            value: value.into(),
        }
    }

    /// How much it tells, among features of one name that fit equally well.
    pub(crate) fn specific(&self) -> (FeatureRank, u64) {
        let bound = self.value.parse().unwrap_or(0);
        let rank = match self.kind {
            FeatureKind::Value => FeatureRank::Exact,
            FeatureKind::Length | FeatureKind::Number | FeatureKind::Repeats => FeatureRank::Bound,
            FeatureKind::Network => FeatureRank::Bound,
            _ => FeatureRank::Class,
        };
        (rank, bound)
    }
}

/// The more specific is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FeatureRank {
    Class,
    Bound,
    Exact,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, value } = self;
        match kind {
            FeatureKind::Value if value.is_empty() => write!(f, "{name} is empty"),
            FeatureKind::Value => write!(f, "{name} = {value}"),
            FeatureKind::Present => write!(f, "{name} is present"),
            FeatureKind::Absent => write!(f, "{name} is absent"),
            FeatureKind::Length => write!(f, "{name} has {value} bytes or more"),
            FeatureKind::Number if value == NEGATIVE => write!(f, "{name} is below 0"),
            FeatureKind::Number => write!(f, "{name} is {value} or more"),
            FeatureKind::Text => write!(f, "{name} is no number"),
            FeatureKind::Repeats => write!(f, "{name} comes {value} times or more"),
            FeatureKind::Network => write!(f, "{name} is in {value}"),
            FeatureKind::Unknown => write!(f, "{name}: {value}"),
        }
    }
}

const NEGATIVE: &str = "negative";

/// Everything that `request` may have in common with others, 64 features at most.
///
/// The request has been redacted; of a value that was, only the presence is told. Of values over
/// 64 bytes only the length is told. Never panics, whatever the values are.
///
/// ```
/// use redhanded_report::{Request, features};
/// let mut request = Request::default();
/// request.method = "GET".to_owned();
/// request.params.query.insert("sort".to_owned(), "price".to_owned());
/// let told: Vec<String> = features(&request).iter().map(ToString::to_string).collect();
/// assert!(told.contains(&"query.sort = price".to_owned()));
/// ```
pub fn features(request: &Request) -> Vec<Feature> {
    let mut found = Found::default();
    let method = request.method.as_str();
    if !method.is_empty() && method != "JOB" {
        found.exact("method", method);
    }
    if request.route.is_none() && !request.path.is_empty() {
        found.exact("path", &request.path);
    }
    for (key, value) in &request.params.path {
        found.value(&named("path", key), value);
    }
    found.pairs("query", &request.params.query);
    found.pairs("job", &request.params.job);
    found.pairs("label", &request.labels);
    for (key, value) in &request.headers {
        // `body` says the same.
        if key != "content-length" {
            found.pair("header", key, value);
        }
    }
    if let Some(client) = &request.client {
        found.client(client);
    }
    if let Some(bytes) = request.body_bytes {
        found.bounds("body", FeatureKind::Length, lengths(bytes));
    }
    for (key, times) in repetitions(request.query.as_deref().unwrap_or_default()) {
        found.bounds(&named("query", &key), FeatureKind::Repeats, doubles(times));
    }
    found.all()
}

fn named(place: &str, key: &str) -> String {
    let kept = key.floor_char_boundary(KEY_BYTES);
    let more = if kept < key.len() { "…" } else { "" };
    format!("{place}.{}{more}", &key[..kept])
}

/// Features in the making: presence and values first, bounds as far as there is room.
#[derive(Default)]
struct Found {
    first: Vec<Feature>,
    bounds: Vec<Feature>,
}

impl Found {
    fn all(mut self) -> Vec<Feature> {
        self.first.append(&mut self.bounds);
        self.first.truncate(MOST);
        self.first
    }

    /// Far more than there is room for is not even made.
    fn put(&mut self, name: &str, kind: FeatureKind, value: String) {
        if self.first.len() < MOST {
            self.first.push(Feature::new(name, kind, value));
        }
    }

    fn exact(&mut self, name: &str, value: &str) {
        if value.len() <= VALUE_BYTES {
            self.put(name, FeatureKind::Value, value.to_owned());
        }
    }

    fn pairs(&mut self, place: &str, pairs: &BTreeMap<String, String>) {
        for (key, value) in pairs {
            self.pair(place, key, value);
        }
    }

    fn pair(&mut self, place: &str, key: &str, value: &str) {
        let name = named(place, key);
        self.put(&name, FeatureKind::Present, String::new());
        self.value(&name, value);
    }

    fn value(&mut self, name: &str, value: &str) {
        if value == REDACTED {
            return;
        }
        let (text, lost) = without_cut(value);
        if lost == 0 {
            self.exact(name, text);
        }
        if let Ok(number) = text.parse::<u64>() {
            self.bounds(name, FeatureKind::Number, tens(number));
            return;
        }
        if text
            .strip_prefix('-')
            .is_some_and(|n| n.parse::<u64>().is_ok())
        {
            self.put(name, FeatureKind::Number, NEGATIVE.to_owned());
            return;
        }
        if !text.is_empty() {
            self.put(name, FeatureKind::Text, String::new());
        }
        let bytes = (text.len() as u64).saturating_add(lost);
        self.bounds(name, FeatureKind::Length, lengths(bytes));
    }

    fn bounds(&mut self, name: &str, kind: FeatureKind, bounds: impl Iterator<Item = u64>) {
        for bound in bounds {
            if self.bounds.len() < MOST {
                self.bounds
                    .push(Feature::new(name, kind, bound.to_string()));
            }
        }
    }

    fn client(&mut self, client: &str) {
        let socket = client.parse::<SocketAddr>().map(|socket| socket.ip());
        let Ok(ip) = socket.or_else(|_| client.parse::<IpAddr>()) else {
            return;
        };
        self.exact("client", &ip.to_string());
        let network = match ip {
            IpAddr::V4(ip) => {
                let network = Ipv4Addr::from_bits(ip.to_bits() & !0xff);
                format!("{network}/24")
            }
            IpAddr::V6(ip) => {
                let network = Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64);
                format!("{network}/64")
            }
        };
        self.put("client", FeatureKind::Network, network);
    }
}

/// A value that was cut ends in `…(+N bytes)`.
fn without_cut(value: &str) -> (&str, u64) {
    let cut = value.strip_suffix(" bytes)").and_then(|rest| {
        let (text, lost) = rest.rsplit_once("…(+")?;
        Some((text, lost.parse().ok()?))
    });
    cut.unwrap_or((value, 0))
}

/// 8, 12, 16, 24, 32, 48, …: what a length of `bytes` reaches.
fn lengths(bytes: u64) -> impl Iterator<Item = u64> {
    (3..63)
        .flat_map(|power: u32| [1 << power, 3 << (power - 1)])
        .take_while(move |bound| *bound <= bytes)
}

/// 10, 100, 1000, …: what `number` reaches.
fn tens(number: u64) -> impl Iterator<Item = u64> {
    (1..20)
        .map(|power| 10_u64.pow(power))
        .take_while(move |bound| *bound <= number)
}

/// 2, 4, 8, …: what `times` reaches.
fn doubles(times: u64) -> impl Iterator<Item = u64> {
    (1..63)
        .map(|power| 1 << power)
        .take_while(move |bound| *bound <= times)
}

/// How often each key of a query comes, of those that come more than once.
fn repetitions(query: &str) -> BTreeMap<String, u64> {
    let mut raw = BTreeMap::<&str, u64>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split('=').next().unwrap_or(pair);
        *raw.entry(key).or_default() += 1;
    }
    let mut times = BTreeMap::<String, u64>::new();
    for (key, count) in raw {
        let key = key.replace('+', " ");
        let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
        *times.entry(key).or_default() += count;
    }
    times.retain(|_, count| *count > 1);
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(request: &Request) -> Vec<String> {
        features(request).iter().map(ToString::to_string).collect()
    }

    fn asked(query: &[(&str, &str)]) -> Request {
        let mut request = Request {
            method: "GET".to_owned(),
            route: Some("/search".to_owned()),
            ..Request::default()
        };
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        request.params.query = query.iter().map(owned).collect();
        request
    }

    #[test]
    fn a_request_is_taken_apart() {
        let mut request = asked(&[("page", "250"), ("q", "a long word"), ("key", "REDACTED")]);
        request.query = Some("page=250&q=a+long+word&key=REDACTED&t%61g=1&tag=2".to_owned());
        request.client = Some("192.0.2.17:51234".to_owned());
        request.body_bytes = Some(20);
        request.headers.insert("content-length".into(), "20".into());
        assert_eq!(
            told(&request),
            [
                "method = GET",
                "query.key is present",
                "query.page is present",
                "query.page = 250",
                "query.q is present",
                "query.q = a long word",
                "query.q is no number",
                "client = 192.0.2.17",
                "client is in 192.0.2.0/24",
                "query.page is 10 or more",
                "query.page is 100 or more",
                "query.q has 8 bytes or more",
                "body has 8 bytes or more",
                "body has 12 bytes or more",
                "body has 16 bytes or more",
                "query.tag comes 2 times or more",
            ]
        );
    }

    #[test]
    fn a_long_value_is_told_by_its_whole_length() {
        let long = told(&asked(&[(
            "q",
            &format!("{}…(+1000000 bytes)", "x".repeat(500)),
        )]));
        assert!(!long.iter().any(|t| t.contains(" = x")), "{long:?}");
        assert_eq!(long.last().unwrap(), "query.q has 786432 bytes or more");
        let negative = told(&asked(&[("page", "-3"), ("q", "")]));
        assert!(negative.contains(&"query.page is below 0".to_owned()));
        assert!(negative.contains(&"query.q is empty".to_owned()));
        let mut request = asked(&[]);
        request.client = Some("[2001:db8::1]:443".to_owned());
        assert!(told(&request).contains(&"client is in 2001:db8::/64".to_owned()));
    }

    #[test]
    fn whatever_comes_is_bounded() {
        let mut request = asked(&[]);
        let long = "ä".repeat(100_000);
        for n in 0..10_000 {
            let key = format!("{n}{long}");
            request.params.query.insert(key, long[..n * 2].to_owned());
        }
        request.query = Some("é=&".repeat(100_000));
        request.client = Some("nobody".to_owned());
        let found = features(&request);
        assert_eq!(found.len(), MOST);
        let longest = found.iter().map(|f| f.name.len() + f.value.len()).max();
        assert!(
            longest.unwrap() <= KEY_BYTES + VALUE_BYTES + 16,
            "{longest:?}"
        );
    }
}
