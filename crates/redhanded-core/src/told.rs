//! A request's story fit to be stored and shown: redacted, printable, with wall times.

use crate::redact::printable::{cut, from_bytes};
use crate::redact::{REDACTED, Redactor};
use crate::story::{Callsite, Event, Field, Level, Span, Story, Value};
use std::fmt::Write as _;

/// What `tracing-log` says of a record of the `log` crate, in fields of its event.
const OF_LOG: [&str; 4] = ["log.target", "log.module_path", "log.file", "log.line"];

/// The spans and events of one request, redacted. Times are nanoseconds since its start.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Told {
    /// Its spans in the order in which they began.
    pub spans: Vec<ToldSpan>,
    /// Its events in the order in which they happened.
    pub events: Vec<ToldEvent>,
    /// Older spans and events that newer ones were written over.
    pub overwritten: u64,
    /// Spans and events that there was no room or time for.
    pub lost: u64,
    /// When that was read.
    pub at_ns: u64,
}

/// A `tracing` span of a request.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ToldSpan {
    /// Its number; unique in its request.
    pub number: u32,
    /// The number of the span that it is in.
    pub parent: Option<u32>,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its fields.
    pub fields: Vec<(String, ToldValue)>,
    /// Fields that there was no room for.
    pub dropped_fields: u32,
    /// When it began.
    pub start_ns: u64,
    /// When it ended; `None` while it is open.
    pub end_ns: Option<u64>,
    /// For how long threads were inside.
    pub busy_ns: u64,
    /// The numbers of spans that it follows from.
    pub links: Vec<u32>,
}

/// A `tracing` event of a request.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ToldEvent {
    /// When it happened.
    pub at_ns: u64,
    /// The number of the span that it happened in.
    pub span: Option<u32>,
    /// Where it comes from.
    pub source: Source,
    /// Its message.
    pub message: String,
    /// Its other fields.
    pub fields: Vec<(String, ToldValue)>,
    /// Fields that there was no room for.
    pub dropped_fields: u32,
}

/// Where in the source a span or event comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// How severe.
    pub level: Level,
    /// The module, unless the application said otherwise.
    pub target: String,
    /// Its file.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ToldValue {
    /// A boolean.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text, at most 1 KiB and what was cut of it.
    Text(String),
}

impl std::fmt::Display for ToldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl ToldSpan {
    /// Whether it was open when the story was read.
    pub fn is_open(&self) -> bool {
        self.end_ns.is_none()
    }
}

impl ToldEvent {
    /// Its message and its fields in one line.
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{name}={value}");
        }
        text
    }
}

impl Told {
    /// `story` of a request that began at `started_ns`, without its secrets.
    pub(crate) fn of(story: &Story, started_ns: u64, redactor: &Redactor) -> Self {
        let since = |ns: u64| ns.saturating_sub(started_ns);
        let span = |span: &Span| ToldSpan {
            number: span.number,
            parent: Some(span.parent).filter(|parent| *parent != 0),
            name: span.callsite.map_or_else(
                || "?".to_owned(),
                |callsite| text(callsite.name, 0, redactor),
            ),
            source: source(span.callsite, &[], redactor),
            fields: fields(&span.fields, redactor),
            dropped_fields: span.dropped_fields,
            start_ns: since(span.started_ns),
            end_ns: span.ended_ns.map(since),
            busy_ns: span.busy_ns,
            links: span.links.iter().map(|link| link.number).collect(),
        };
        let event = |event: &Event| {
            let (message, others): (Vec<_>, Vec<_>) = event
                .fields
                .iter()
                .filter(|field| !OF_LOG.contains(&field.name))
                .cloned()
                .partition(|field| field.name == "message");
            ToldEvent {
                at_ns: since(event.at_ns),
                span: Some(event.span).filter(|span| *span != 0),
                source: source(event.callsite, &event.fields, redactor),
                message: message
                    .first()
                    .map_or_else(String::new, |m| value(&m.value, redactor).to_string()),
                fields: fields(&others, redactor),
                dropped_fields: event.dropped_fields,
            }
        };
        // A span whose end was left out, and that is open no more, is neither open nor of a known length.
        let is_known = |span: &&Span| span.is_open || span.ended_ns.is_some();
        let unknown = story.spans.iter().filter(|span| !is_known(span)).count();
        Self {
            spans: story.spans.iter().filter(is_known).map(span).collect(),
            events: story.events.iter().map(event).collect(),
            overwritten: story.overwritten,
            lost: story.lost.max(unknown as u64),
            at_ns: since(story.at_ns),
        }
    }

    /// The name of a span.
    pub(crate) fn name_of(&self, number: u32) -> Option<&str> {
        let span = self.spans.iter().find(|span| span.number == number)?;
        Some(&span.name)
    }
}

/// The place in the source; of a record of the `log` crate that of the record.
fn source(callsite: Option<&Callsite>, of_log: &[Field], redactor: &Redactor) -> Source {
    let logged = |name| {
        let field = of_log.iter().find(|field| field.name == name)?;
        Some(field.value.to_string())
    };
    let shown = |raw: &str| text(raw, 0, redactor);
    let target = logged("log.target");
    let is_logged = target.is_some();
    let file =
        logged("log.file").or_else(|| callsite?.file.filter(|_| !is_logged).map(str::to_owned));
    let line = logged("log.line").and_then(|line| line.parse().ok());
    Source {
        level: callsite.map_or(Level::Trace, |callsite| callsite.level),
        target: shown(&target.unwrap_or_else(|| callsite.map_or("?", |c| c.target).to_owned())),
        file: file.map(|file| shown(&file)),
        line: line.or_else(|| callsite?.line.filter(|_| !is_logged)),
    }
}

fn fields(fields: &[Field], redactor: &Redactor) -> Vec<(String, ToldValue)> {
    let one = |field: &Field| {
        let shown = if redactor.is_secret_key(field.name) {
            ToldValue::Text(REDACTED.to_owned())
        } else {
            value(&field.value, redactor)
        };
        (text(field.name, 0, redactor), shown)
    };
    fields.iter().map(one).collect()
}

fn value(value: &Value, redactor: &Redactor) -> ToldValue {
    match value {
        Value::Bool(value) => ToldValue::Bool(*value),
        Value::I64(value) => ToldValue::Int(*value),
        Value::U64(value) => i64::try_from(*value)
            .map_or_else(|_| ToldValue::Text(value.to_string()), ToldValue::Int),
        Value::F64(value) => ToldValue::Float(*value),
        Value::Text(value, cut) => ToldValue::Text(text(value, *cut, redactor)),
        Value::Bytes(bytes, lost) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            ToldValue::Text(cut(hex, *lost))
        }
        panicked @ Value::Panicked(_) => ToldValue::Text(text(&panicked.to_string(), 0, redactor)),
    }
}

/// One line of text without secrets, at most 1 KiB of it; `lost` bytes of it were cut before.
fn text(raw: &str, lost: u64, redactor: &Redactor) -> String {
    let line = raw.replace(['\n', '\r', '\t'], " ");
    cut(redactor.text(&from_bytes(line.as_bytes())), lost)
}
