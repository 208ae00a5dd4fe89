//! A ring read back: what happened, in the order in which it happened.

use super::callsite::{self, Callsite};
use super::entry::{Head, OpenSpan, kind};
use super::fields;
use super::pool;
use super::ring::{Copied, HEAD, Ring};
use crate::registry::Slot;
use redhanded_capture::monotonic_ns;
use std::collections::BTreeMap;
use std::fmt;

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A signed number.
    I64(i64),
    /// A number.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// A text, and how many bytes of it were left out.
    Text(String, u64),
    /// Bytes, and how many of them were left out.
    Bytes(Vec<u8>, u64),
    /// What a value had printed when it panicked.
    Panicked(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |f: &mut fmt::Formatter<'_>, cut: u64| match cut {
            0 => Ok(()),
            cut => write!(f, "…(+{cut} bytes)"),
        };
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Text(text, cut) => {
                f.write_str(text)?;
                more(f, *cut)
            }
            Self::Bytes(bytes, cut) => {
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                more(f, *cut)
            }
            Self::Panicked(text) => write!(f, "{text}…(printing it panicked)"),
        }
    }
}

/// A field of a span or event, raw.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name; an event's text is called `message`.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// A span of a request, raw. Times are nanoseconds of the monotonic clock.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its number; unique in its request.
    pub number: u32,
    /// The number of the span that it is in; 0 for none.
    pub parent: u32,
    /// Where it comes from.
    pub callsite: Option<&'static Callsite>,
    /// Its fields, later ones of the same name in place of the earlier.
    pub fields: Vec<Field>,
    /// Fields that there was no room for.
    pub dropped_fields: u32,
    /// When it began; `None` where that was forgotten.
    pub started_ns: u64,
    /// When it ended; `None` while it is open, and where nobody knows.
    pub ended_ns: Option<u64>,
    /// It was open when the story was read.
    pub is_open: bool,
    /// For how long threads were inside.
    pub busy_ns: u64,
    /// A thread was inside when the story was read.
    pub is_entered: bool,
    /// The spans that it follows from.
    pub links: Vec<Link>,
}

/// A span that another follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, in the same request.
    pub number: u32,
}

/// An event of a request, raw.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The number of the span that it happened in; 0 for none.
    pub span: u32,
    /// Where it comes from.
    pub callsite: Option<&'static Callsite>,
    /// Its fields; its text is called `message`.
    pub fields: Vec<Field>,
    /// Fields that there was no room for.
    pub dropped_fields: u32,
}

/// What a request has told of itself, as far as its ring has kept it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Story {
    /// Its spans in the order in which they began, closed and open ones.
    pub spans: Vec<Span>,
    /// Its events in the order in which they happened.
    pub events: Vec<Event>,
    /// Older spans and events that newer ones were written over.
    pub overwritten: u64,
    /// Spans and events that there was no room or time for.
    pub lost: u64,
    /// When it was read.
    pub at_ns: u64,
}

/// A ring as it was copied, not read yet: that may be another thread's work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    copied: Copied,
    at_ns: u64,
}

/// What the ring of the request in `slot` has now; `None` if it has none. A ring that is written faster
/// than it can be copied gives an empty one, and is counted.
pub(crate) fn snapshot(slot: &Slot) -> Option<Snapshot> {
    let index = slot.story()?;
    let ring = pool::at(index)?;
    let epoch = ring.epoch();
    if slot.story() != Some(index) {
        return None;
    }
    Some(copy(ring, epoch))
}

/// What a ring has that is nobody else's.
pub(super) fn snapshot_of(index: u16) -> Snapshot {
    let ring = pool::at(index);
    ring.map_or_else(Snapshot::default, |ring| copy(ring, ring.epoch()))
}

fn copy(ring: &Ring, epoch: u32) -> Snapshot {
    let at_ns = monotonic_ns();
    let copied = ring.copy(epoch).unwrap_or_else(|| {
        pool::count_torn();
        Copied {
            lost: 1,
            ..Copied::default()
        }
    });
    Snapshot { copied, at_ns }
}

impl Snapshot {
    /// When that was.
    pub(crate) fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// What it says.
    pub(crate) fn read(&self) -> Story {
        let mut reading = Reading::of(&self.copied.words);
        for open in &self.copied.open {
            reading.open(open, self.at_ns);
        }
        let mut spans: Vec<Span> = reading.spans.into_values().collect();
        spans.sort_by_key(|span| (span.started_ns, span.number));
        let mut events = reading.events;
        events.sort_by_key(|event| event.at_ns);
        Story {
            spans,
            events,
            overwritten: self.copied.overwritten.into(),
            lost: self.copied.lost.into(),
            at_ns: self.at_ns,
        }
    }
}

struct Record<'a> {
    head: Head,
    at_ns: u64,
    who: (u32, u32),
    body: &'a [u64],
}

impl<'a> Record<'a> {
    fn first(words: &'a [u64]) -> Option<(Self, &'a [u64])> {
        let head = Head::of(*words.first()?);
        let (record, rest) = words.split_at_checked(usize::from(head.words))?;
        let (&[_, at_ns, who], body) = record.split_first_chunk::<HEAD>()?;
        let record = Self {
            head,
            at_ns,
            who: (who as u32, (who >> 32) as u32),
            body,
        };
        Some((record, rest))
    }

    fn fields(&self) -> Vec<Field> {
        let callsite = callsite::of(self.head.callsite);
        let named = |stored: fields::Stored| {
            let known = callsite.and_then(|c| c.fields.get(usize::from(stored.index)));
            Field {
                name: known.copied().unwrap_or("?"),
                value: stored.value,
            }
        };
        fields::read(self.body).into_iter().map(named).collect()
    }
}

/// What the records of a log say, as they come.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) spans: BTreeMap<u32, Span>,
    pub(super) events: Vec<Event>,
}

impl Reading {
    pub(super) fn of(mut words: &[u64]) -> Self {
        let mut reading = Self::default();
        while let Some((record, rest)) = Record::first(words) {
            reading.take(&record);
            words = rest;
        }
        reading
    }

    fn take(&mut self, record: &Record<'_>) {
        let (number, other) = record.who;
        match record.head.kind {
            kind::START => {
                let span = self.span(number, other, record.head.callsite);
                span.started_ns = record.at_ns;
                let mut fields = record.fields();
                fields.append(&mut span.fields);
                span.fields = fields;
                span.dropped_fields += u32::from(record.head.dropped);
            }
            kind::END => {
                let span = self.span(number, other, record.head.callsite);
                span.ended_ns = Some(record.at_ns);
                if let [started_ns, busy_ns] = *record.body {
                    (span.started_ns, span.busy_ns) = (started_ns, busy_ns);
                }
            }
            kind::FIELDS => {
                let fields = record.fields();
                let dropped = u32::from(record.head.dropped);
                let span = self.span(number, 0, record.head.callsite);
                for field in fields {
                    match span
                        .fields
                        .iter_mut()
                        .find(|known| known.name == field.name)
                    {
                        Some(known) => *known = field,
                        None => span.fields.push(field),
                    }
                }
                span.dropped_fields += dropped;
            }
            kind::FOLLOWS => {
                if let Some(span) = self.spans.get_mut(&number) {
                    span.links.push(Link { number: other });
                }
            }
            kind::EVENT => self.events.push(Event {
                at_ns: record.at_ns,
                span: other,
                callsite: callsite::of(record.head.callsite),
                fields: record.fields(),
                dropped_fields: record.head.dropped.into(),
            }),
            _ => {}
        }
    }

    fn span(&mut self, number: u32, parent: u32, callsite: u16) -> &mut Span {
        let span = self.spans.entry(number).or_insert_with(|| Span {
            number,
            parent,
            callsite: callsite::of(callsite),
            fields: Vec::new(),
            dropped_fields: 0,
            started_ns: 0,
            ended_ns: None,
            is_open: false,
            busy_ns: 0,
            is_entered: false,
            links: Vec::new(),
        });
        if span.parent == 0 {
            span.parent = parent;
        }
        span
    }

    fn open(&mut self, open: &OpenSpan, now_ns: u64) {
        let span = self.span(open.serial, open.parent, open.callsite);
        // It ended after the table was copied, and before the log was.
        if span.ended_ns.is_some() {
            return;
        }
        span.started_ns = open.started_ns;
        span.is_open = true;
        span.is_entered = open.entered_ns != 0;
        span.busy_ns = open.busy_ns;
        if span.is_entered {
            span.busy_ns += now_ns.saturating_sub(open.entered_ns);
        }
    }
}
