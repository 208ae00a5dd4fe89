//! How long requests took, by method, scheme, route, status and what went wrong; and how many are in flight.

use super::exemplar::Exemplar;
use super::histogram::Histogram;
use super::method::Method;
use super::snapshot::{Attribute, Attributes, Buckets, Number, Point};
use super::table::{Entry, Table, bytes_of};
use crate::copied::kind;
use crate::keep;
use crate::redact::printable;
use crate::registry::{FactsArena, Life, Slot};
use crate::sync::AtomicU64;
use crate::worker::Worker;
use redhanded_capture::monotonic_ns;
use redhanded_report::How;
use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Series that have labels; what is beyond has a series of its own.
pub(super) const MOST: usize = 2_000;

/// The label of what had no room, as OpenTelemetry's metric SDKs have it.
pub(super) const OVERFLOW: &str = "otel.metric.overflow";

/// The durations of the requests that are over.
#[derive(Debug)]
pub(crate) struct Requests {
    series: Table<Histogram>,
    others: Histogram,
    shards: usize,
}

/// Of a key's numbers: what the life of a request says, then its method, then the bytes of its route and one more.
const METHOD_SHIFT: u32 = 32;
const ROUTE_SHIFT: u32 = 40;

/// What a slot says of the request that is labelled with it.
struct Labels<'a> {
    method: Method,
    /// Bytes of the route and one more; zero for none.
    route_bytes: u64,
    route: &'a [AtomicU64],
}

/// Bytes of a record, by its header.
#[inline]
fn bytes(head: u64) -> usize {
    (head >> 8 & 0xff_ffff) as usize
}

impl<'a> Labels<'a> {
    /// `None` for what is no HTTP request.
    #[inline]
    fn of(facts: &'a FactsArena) -> Option<Self> {
        match Self::where_they_are_mostly(facts) {
            Some(labels) => Some(labels),
            None => Self::anywhere(facts),
        }
    }

    /// Where the layer puts them as long as nothing is unusual: method, target, route.
    #[inline]
    fn where_they_are_mostly(facts: &'a FactsArena) -> Option<Self> {
        let [head, method, target, rest @ ..] = facts.words() else {
            return None;
        };
        let head = head.load(Ordering::Relaxed);
        let target = target.load(Ordering::Relaxed);
        let in_one_word = bytes(head).wrapping_sub(1) < 8;
        if head as u8 != kind::METHOD || target as u8 != kind::TARGET || !in_one_word {
            return None;
        }
        let (head, rest) = rest.get((bytes(target) + 7) >> 3..)?.split_first()?;
        let head = head.load(Ordering::Relaxed);
        if head as u8 != kind::ROUTE {
            return None;
        }
        Some(Self {
            method: Method::of_word(method.load(Ordering::Relaxed)),
            route_bytes: bytes(head) as u64 + 1,
            route: rest.get(..(bytes(head) + 7) >> 3)?,
        })
    }

    #[inline(never)]
    fn anywhere(facts: &'a FactsArena) -> Option<Self> {
        let (mut method, mut route) = (None, (0, &[][..]));
        facts.each(|head, body| match (head as u8, body) {
            (kind::METHOD, [word]) => {
                method = Some(Method::of_word(word.load(Ordering::Relaxed)));
            }
            (kind::METHOD, _) => method = Some(Method::OTHER),
            (kind::ROUTE, body) => route = (bytes(head) as u64 + 1, body),
            _ => {}
        });
        Some(Self {
            method: method?,
            route_bytes: route.0,
            route: route.1,
        })
    }

    #[inline]
    fn numbers(&self, life: Life) -> u64 {
        u64::from(life.as_ended())
            | self.method.number() << METHOD_SHIFT
            | self.route_bytes << ROUTE_SHIFT
    }
}

/// Counts the request that closes in `slot`, if its install counts; allocates for a series that is new, and waits for
/// nobody else.
#[inline(never)]
pub(crate) fn ended(slot: &Slot) {
    let life = slot.life();
    let Some(counted) = slot.meter.counted().filter(|_| life.is_request()) else {
        return;
    };
    let Some(labels) = Labels::of(&slot.facts) else {
        return;
    };
    let requests = &counted.requests;
    let make = || Histogram::new(requests.shards);
    let series = requests
        .series
        .get(labels.numbers(life), labels.route, make);
    let series = series.unwrap_or(&requests.others);
    let now_ns = monotonic_ns();
    let elapsed_ns = now_ns.saturating_sub(slot.started_ns());
    series.record(Worker::known().map_or(0, Worker::index), elapsed_ns);
    if slot.hand.is_kept() || life.is_remarkable() {
        exemplify(series, slot, life.how(), elapsed_ns, counted.wall(now_ns));
    }
}

/// It was caught, or chosen for something: if its trace is exported, or about to be, that is an example.
#[cold]
#[inline(never)]
fn exemplify(series: &Histogram, slot: &Slot, how: How, elapsed_ns: u64, at: SystemTime) {
    let value = elapsed_ns as f64 / 1e9;
    if keep::is_kept(slot, how)
        && let Some(exemplar) = Exemplar::of(slot, value, at)
    {
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
        for entry in self.series.all() {
            let buckets = entry.value.read();
            match points.entry(attributes(entry)) {
                btree_map::Entry::Vacant(new) => {
                    new.insert(buckets);
                }
                btree_map::Entry::Occupied(mut known) => {
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
        let numbers = self.series.all().map(|entry| entry.numbers);
        let known = numbers.map(|numbers| {
            (
                method_of(numbers),
                Life::from_ended(numbers as u32).is_https(),
            )
        });
        let mut active: BTreeMap<(&str, bool), u64> = known.map(|known| (known, 0)).collect();
        for slot in live {
            if let Some(of) = in_flight(slot) {
                *active.entry(of).or_default() += 1;
            }
        }
        let point = |((method, https), count)| {
            Point::new(
                method_and_scheme(method, https).to_vec(),
                Number::Int(count),
            )
        };
        active.into_iter().map(point).collect()
    }
}

/// Method of a slot's request, and whether it came over TLS.
fn in_flight(slot: &Slot) -> Option<(&'static str, bool)> {
    let generation = slot.hand.generation();
    let life = slot.life();
    let labels = Labels::anywhere(&slot.facts)?;
    // Read while another request began there, it is nobody's.
    let is_its = slot.hand.generation() == generation && slot.hand.looks_live();
    (is_its && life.is_request()).then(|| (labels.method.as_str(), life.is_https()))
}

fn method_of(numbers: u64) -> &'static str {
    Method::from_number(numbers >> METHOD_SHIFT).as_str()
}

fn method_and_scheme(method: &str, https: bool) -> [(&'static str, Attribute); 2] {
    let scheme = if https { "https" } else { "http" };
    [
        ("http.request.method", method.into()),
        ("url.scheme", scheme.into()),
    ]
}

fn attributes(entry: &Entry<Histogram>) -> Attributes {
    let life = Life::from_ended(entry.numbers as u32);
    let method = method_of(entry.numbers);
    let mut attributes = method_and_scheme(method, life.is_https()).to_vec();
    let status = life.status();
    let fault = match life.how() {
        How::Completed if life.has_failed() => Some("service_error".to_owned()),
        How::Completed => (status >= 500).then(|| status.to_string()),
        how => Some(how.as_str().to_owned()),
    };
    attributes.extend(fault.map(|fault| ("error.type", fault.into())));
    if status != 0 {
        attributes.push(("http.response.status_code", i64::from(status).into()));
    }
    if let Some(bytes) = (entry.numbers >> ROUTE_SHIFT).checked_sub(1) {
        let route = printable::from_bytes(&bytes_of(&entry.text, bytes as usize));
        attributes.push(("http.route", route.into()));
    }
    attributes.sort_by_key(|(name, _)| *name);
    attributes
}
