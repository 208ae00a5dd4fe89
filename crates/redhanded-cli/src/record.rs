//! What ranking needs of a line: a few borrowed fields, the rest is skipped without a copy.
//!
//! Words are texts here, not enums: a newer writer may have words that we do not know.

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;


/// One line of a slow-request log, as far as it is needed to count, rank and join.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    pub(crate) schema: Text<'a>,
    #[serde(borrow)]
    pub(crate) event: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) id: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) time: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) service: Service<'a>,
    #[serde(borrow, default)]
    pub(crate) request: Option<Request<'a>>,
    #[serde(default)]
    pub(crate) elapsed_ms: Option<f64>,
    #[serde(borrow, default)]
    pub(crate) verdict: Option<Verdict<'a>>,
    #[serde(borrow, default)]
    pub(crate) fingerprint: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) occurrences: Option<u64>,
    #[serde(default)]
    pub(crate) outcome: Option<Outcome>,
}

/// Who wrote a line.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Service<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) instance: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) host: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) pid: Option<u32>,
}

/// What was asked, without its values.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow, default)]
    pub(crate) method: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) route: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) path: Text<'a>,
}

/// Who is to blame for what.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Verdict<'a> {
    #[serde(borrow, default)]
    pub(crate) class: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) role: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) confidence: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) culprit: Option<Culprit<'a>>,
    #[serde(borrow, default)]
    pub(crate) waiting_for: Option<WaitingFor<'a>>,
}

/// The line of the user's own code that is to blame.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Culprit<'a> {
    #[serde(borrow, default)]
    pub(crate) function: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) file: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) line: Option<u32>,
    #[serde(default)]
    pub(crate) column: Option<u32>,
}

/// What it waits for.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct WaitingFor<'a> {
    #[serde(borrow, default)]
    pub(crate) what: Text<'a>,
}

/// How it ended.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Outcome {
    #[serde(default)]
    pub(crate) total_ms: f64,
}

/// A text of the line: borrowed, unless it has an escape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Serde's own `Cow` copies wherever it stands in an `Option`.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl Record<'_> {
    /// 1 of `redhanded/1`.
    pub(crate) fn version(&self) -> Option<u32> {
        self.schema.strip_prefix("redhanded/")?.parse().ok()
    }

    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

/// A line as a record; an error says why it is none.
pub(crate) fn parse(line: &[u8]) -> Result<Record<'_>, String> {
    let record: Record<'_> = serde_json::from_slice(line).map_err(|error| said(&error))?;
    if record.version().is_none() {
        return Err(format!(
            "no record of redhanded: its schema is {:?}, not redhanded/1",
            &*record.schema
        ));
    }
    Ok(record)
}

/// serde_json counts lines from the beginning of what it was given, which was one line.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what);
    format!("no record: {what} at column {}", error.column())
}
