//! How long requests took, by method, scheme, route, status and what went wrong; and how many are in flight.

use super::Counted;
use super::exemplar::Exemplar;
use super::histogram::Histogram;
use super::method::Method;
use super::snapshot::{Attribute, Attributes, Buckets, Number, Point};
use super::table::{Key, Table, text_of};
use crate::copied::kind;
use crate::registry::{FactsArena, Life, Slot};
use crate::sync::AtomicU64;
use crate::worker::Worker;
use redhanded_capture::monotonic_ns;
use redhanded_report::How;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Series that have labels; what is beyond has a series of its own.
pub(super) const MOST: usize = 2_000;

const METHOD: &str = "http.request.method";
const SCHEME: &str = "url.scheme";
/// The label of what had no room, as OpenTelemetry's metric SDKs have it.
pub(super) const OVERFLOW: &str = "otel.metric.overflow";

/// The durations of the requests that are over.
#[derive(Debug)]
pub(crate) struct Requests {
    series: Table<Histogram>,
    others: Histogram,
    shards: usize,
}

/// What went wrong, besides what the status says; as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault(u8);

impl Fault {
    const NAMES: [&'static str; 6] = [
        "",
        "dropped",
        "client_gone",
        "cancelled",
        "panicked",
        "service_error",
    ];

    fn of(how: How, life: Life) -> Self {
        Self(match how {
            How::Completed if life.has_failed() => 5,
            How::Completed => 0,
            How::ClientGone => 2,
            How::Cancelled => 3,
            How::Panicked => 4,
            _ => 1,
        })
    }
}

/// What a slot says of the request that is labelled with it.
struct Labels<'a> {
    method: Method,
    /// Bytes of the route and one more; zero for none.
    route_bytes: u64,
    route: &'a [AtomicU64],
}

impl<'a> Labels<'a> {
    /// `None` for what is no HTTP request.
    #[inline]
    fn of(facts: &'a FactsArena) -> Option<Self> {
        let mut method = None;
        for (head, body) in facts.scan() {
            let bytes = head >> 8 & 0xff_ffff;
            match head as u8 {
                kind::METHOD => {
                    let word = body.first().map_or(0, |word| word.load(Ordering::Relaxed));
                    method = Some(Method::of_word(word, bytes as usize));
                }
                // The method comes first.
                kind::ROUTE => {
                    return Some(Self {
                        method: method?,
                        route_bytes: bytes + 1,
                        route: body,
                    });
                }
                _ => {}
            }
        }
        Some(Self {
            method: method?,
            route_bytes: 0,
            route: &[],
        })
    }

    fn numbers(&self, life: Life, fault: Fault) -> u64 {
        self.method.number()
            | u64::from(life.is_https()) << 4
            | u64::from(fault.0) << 5
            | u64::from(life.status()) << 8
            | self.route_bytes << 24
    }
}

/// Counts the request that closes in `slot`; allocates for a series that is new, and waits for nobody else.
#[inline(never)]
pub(crate) fn ended(counted: &Counted, slot: &Slot, how: How) {
    let life = slot.life();
    if !life.is_request() {
        return;
    }
    let Some(labels) = Labels::of(&slot.facts) else {
        return;
    };
    let now_ns = monotonic_ns();
    let elapsed_ns = now_ns.saturating_sub(slot.started_ns());
    let requests = &counted.requests;
    let text = labels.route.iter().map(|word| word.load(Ordering::Relaxed));
    let numbers = labels.numbers(life, Fault::of(how, life));
    let make = || Histogram::new(requests.shards);
    let series = requests.series.get(numbers, text, make);
    let series = series.unwrap_or(&requests.others);
    series.record(Worker::known().map_or(0, Worker::index), elapsed_ns);
    if slot.hand.is_kept() {
        exemplify(series, slot, elapsed_ns, counted.wall(now_ns));
    }
}

/// It was caught: its trace is exported, or about to be.
#[cold]
#[inline(never)]
fn exemplify(series: &Histogram, slot: &Slot, elapsed_ns: u64, at: std::time::SystemTime) {
    if let Some(exemplar) = Exemplar::of(slot, elapsed_ns as f64 / 1e9, at) {
        series.exemplify(elapsed_ns, exemplar);
    }
}

impl Requests {
    /// For so many threads at once.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            series: Table::new(MOST),
            others: Histogram::new(shards),
            shards,
        }
    }

    /// How many series there are.
    pub(super) fn series(&self) -> u64 {
        self.series.len() as u64
    }

    /// How many requests were counted without their labels.
    pub(super) fn unlabelled(&self) -> u64 {
        self.others.count()
    }

    /// The durations, by what they are labelled with.
    pub(super) fn durations(&self) -> Vec<Point<Buckets>> {
        // Keys that differ may read alike: routes are kept up to a length.
        let mut points: BTreeMap<Attributes, Buckets> = BTreeMap::new();
        for (key, histogram) in self.series.all() {
            let buckets = histogram.read();
            match points.entry(attributes(key)) {
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(buckets);
                }
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().merge(buckets);
                }
            }
        }
        let others = self.others.read();
        if others.count() > 0 {
            points.insert(vec![(OVERFLOW, Attribute::Bool(true))], others);
        }
        let point = |(attributes, buckets)| Point::new(attributes, buckets);
        points.into_iter().map(point).collect()
    }

    /// How many of `live` are requests in flight, by method and scheme; zero for those that there were.
    pub(super) fn active(&self, live: impl Iterator<Item = &'static Slot>) -> Vec<Point<Number>> {
        let known: BTreeSet<u64> = self
            .series
            .all()
            .map(|(key, _)| key.numbers & 0x1f)
            .collect();
        let mut active: BTreeMap<u64, u64> =
            known.into_iter().map(|numbers| (numbers, 0)).collect();
        for slot in live {
            if let Some(numbers) = in_flight(slot) {
                *active.entry(numbers).or_default() += 1;
            }
        }
        let point = |(numbers, count)| {
            let (method, scheme) = method_and_scheme(numbers);
            Point::new(vec![method, scheme], Number::Int(count))
        };
        active.into_iter().map(point).collect()
    }
}

/// Method and scheme of a slot's request, as the five lowest bits of a key.
fn in_flight(slot: &Slot) -> Option<u64> {
    let generation = slot.hand.generation();
    let life = slot.life();
    let labels = Labels::of(&slot.facts)?;
    // Read while another request began there, it is nobody's.
    let is_its = slot.hand.generation() == generation && slot.hand.looks_live();
    (is_its && life.is_request()).then(|| labels.method.number() | u64::from(life.is_https()) << 4)
}

fn method_and_scheme(numbers: u64) -> ((&'static str, Attribute), (&'static str, Attribute)) {
    let method = Method::from_number(numbers).as_str();
    let scheme = if numbers & 0x10 == 0 { "http" } else { "https" };
    ((METHOD, method.into()), (SCHEME, scheme.into()))
}

fn attributes(key: &Key) -> Attributes {
    let (method, scheme) = method_and_scheme(key.numbers);
    let mut attributes = vec![method, scheme];
    let fault = (key.numbers >> 5 & 0x7) as usize;
    let status = (key.numbers >> 8 & 0xffff) as i64;
    let fault = match Fault::NAMES.get(fault).copied().unwrap_or_default() {
        "" if status >= 500 => Some(status.to_string()),
        "" => None,
        fault => Some(fault.to_owned()),
    };
    attributes.extend(fault.map(|fault| ("error.type", fault.into())));
    if status != 0 {
        attributes.push(("http.response.status_code", status.into()));
    }
    if let Some(bytes) = (key.numbers >> 24 & 0xff).checked_sub(1) {
        let route = text_of(&key.text, bytes as usize);
        attributes.push(("http.route", route.into()));
    }
    attributes.sort_by_key(|(name, _)| *name);
    attributes
}
