//! What ranking needs of a line: a few borrowed fields, the rest is skipped without a copy.
//!
//! Words are texts here, not enums: a newer writer may have words that we do not know.

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;

/// One line of a slow-request log, as far as it is needed to count, rank and join.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(expecting = "a JSON object")]
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
    pub(crate) peer: Option<Peer<'a>>,
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

/// The remote host involved.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Peer<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) address: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) port: Option<u16>,
    #[serde(default)]
    pub(crate) inferred: bool,
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

#[cfg(test)]
mod tests {
    use super::{Record, Text, parse};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const LOG: &str = include_str!("../../redhanded-report/fixtures/caught.jsonl");

    /// The same record by the long way: all of the line as a tree, then field by field.
    fn slowly(line: &[u8]) -> Option<String> {
        let all: Value = serde_json::from_slice(line).ok()?;
        let field = |pointer: &str| all.pointer(pointer).cloned().unwrap_or(Value::Null);
        Some(shape(field))
    }

    fn fast(record: &Record<'_>) -> String {
        let text = |text: &Text<'_>| json!(&**text);
        let maybe = |one: Option<&Text<'_>>| one.map_or(Value::Null, text);
        let verdict = record.verdict.as_ref();
        let culprit = verdict.and_then(|verdict| verdict.culprit.as_ref());
        let peer = verdict.and_then(|verdict| verdict.peer.as_ref());
        let request = record.request.as_ref();
        shape(|pointer| match pointer {
            "/schema" => text(&record.schema),
            "/event" => text(&record.event),
            "/id" => text(&record.id),
            "/time" => text(&record.time),
            "/service/name" => text(&record.service.name),
            "/service/host" => maybe(record.service.host.as_ref()),
            "/service/instance" => maybe(record.service.instance.as_ref()),
            "/service/pid" => json!(record.service.pid),
            "/request/method" => maybe(request.map(|r| &r.method)),
            "/request/route" => maybe(request.and_then(|r| r.route.as_ref())),
            "/request/path" => maybe(request.map(|r| &r.path)),
            "/elapsed_ms" => json!(record.elapsed_ms),
            "/verdict/class" => maybe(verdict.map(|v| &v.class)),
            "/verdict/role" => maybe(verdict.map(|v| &v.role)),
            "/verdict/confidence" => maybe(verdict.map(|v| &v.confidence)),
            "/verdict/waiting_for/what" => maybe(
                verdict
                    .and_then(|v| v.waiting_for.as_ref())
                    .map(|w| &w.what),
            ),
            "/verdict/culprit/function" => maybe(culprit.map(|c| &c.function)),
            "/verdict/culprit/file" => maybe(culprit.and_then(|c| c.file.as_ref())),
            "/verdict/culprit/line" => json!(culprit.and_then(|c| c.line)),
            "/verdict/culprit/column" => json!(culprit.and_then(|c| c.column)),
            "/verdict/peer/name" => maybe(peer.and_then(|p| p.name.as_ref())),
            "/verdict/peer/address" => maybe(peer.and_then(|p| p.address.as_ref())),
            "/verdict/peer/port" => json!(peer.and_then(|p| p.port)),
            "/verdict/peer/inferred" => json!(peer.is_some_and(|p| p.inferred)),
            "/fingerprint" => maybe(record.fingerprint.as_ref()),
            "/occurrences" => json!(record.occurrences),
            "/outcome/total_ms" => json!(record.outcome.as_ref().map(|o| o.total_ms)),
            other => panic!("{other}"),
        })
    }

    const POINTERS: [&str; 27] = [
        "/schema",
        "/event",
        "/id",
        "/time",
        "/service/name",
        "/service/host",
        "/service/instance",
        "/service/pid",
        "/request/method",
        "/request/route",
        "/request/path",
        "/elapsed_ms",
        "/verdict/class",
        "/verdict/role",
        "/verdict/confidence",
        "/verdict/waiting_for/what",
        "/verdict/culprit/function",
        "/verdict/culprit/file",
        "/verdict/culprit/line",
        "/verdict/culprit/column",
        "/verdict/peer/name",
        "/verdict/peer/address",
        "/verdict/peer/port",
        "/verdict/peer/inferred",
        "/fingerprint",
        "/occurrences",
        "/outcome/total_ms",
    ];

    fn shape(field: impl Fn(&str) -> Value) -> String {
        // What is not there is empty or zero in some fields: the same as far as anybody here cares.
        let empty = [Value::Null, json!(""), json!(0.0), json!(false)];
        let field = |pointer| Some(field(pointer)).filter(|value| !empty.contains(value));
        POINTERS
            .map(|pointer| format!("{pointer} {:?}\n", field(pointer)))
            .concat()
    }

    #[test]
    fn the_example_is_read() {
        for line in LOG.lines() {
            let record = parse(line.as_bytes()).unwrap();
            assert_eq!(Some(fast(&record)), slowly(line.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        let why = |line: &str| parse(line.as_bytes()).unwrap_err();
        assert_eq!(
            why("{\"event\":\"caught\"}"),
            "no record: missing field `schema` at column 18"
        );
        assert_eq!(
            why("127.0.0.1 - -"),
            "no record: invalid type: floating point `127.0`, expected a JSON object at column 5"
        );
        assert_eq!(
            why("{\"schema\":\"other/3\",\"event\":\"caught\"}"),
            "no record of redhanded: its schema is \"other/3\", not redhanded/1"
        );
    }

    /// Texts with everything that JSON escapes and terminals obey.
    fn texts() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![
                Just('"'),
                Just('\\'),
                Just('\u{1b}'),
                Just('\n'),
                Just('{'),
                Just('}'),
                Just('\u{9b}'),
                any::<char>()
            ],
            0..12,
        )
        .prop_map(|chars| chars.into_iter().collect())
    }

    fn records() -> impl Strategy<Value = Value> {
        let names = proptest::collection::vec(texts(), POINTERS.len());
        (
            names,
            any::<u64>(),
            any::<u32>(),
            0.0..1e9_f64,
            proptest::collection::vec(any::<bool>(), POINTERS.len()),
        )
            .prop_map(|(names, occurrences, small, ms, there)| {
                let mut line: Value = serde_json::from_str(LOG.lines().next().unwrap()).unwrap();
                line["outcome"] = json!({"how": "completed", "total_ms": ms});
                line["verdict"]["peer"] =
                    json!({"name": "", "address": "", "port": 0, "inferred": false});
                line["verdict"]["waiting_for"] = json!({"kind": "lock", "what": ""});
                for ((pointer, name), there) in POINTERS.iter().zip(names).zip(there) {
                    // Those of others that a record cannot be without.
                    let optional = [
                        "/service/host",
                        "/service/instance",
                        "/request/route",
                        "/verdict/culprit/file",
                        "/verdict/peer/name",
                        "/verdict/peer/address",
                        "/fingerprint",
                    ];
                    let value = match *pointer {
                        "/schema" => continue,
                        "/occurrences" => json!(occurrences),
                        "/verdict/peer/port" => json!(small as u16),
                        "/verdict/peer/inferred" => json!(there),
                        "/elapsed_ms" | "/outcome/total_ms" => json!(ms),
                        other
                            if other.ends_with("pid")
                                || other.ends_with("line")
                                || other.ends_with("column") =>
                        {
                            json!(small)
                        }
                        other if optional.contains(&other) && !there => Value::Null,
                        _ => json!(name),
                    };
                    *line.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value;
                }
                line
            })
    }

    proptest! {
        /// The fast way and the long way agree on every line; what only the long way refuses (it
        /// looks at fields that nobody asked for) is no reason to skip a line.
        #[test]
        fn the_fast_way_is_the_long_way(record in records(), cut in any::<prop::sample::Index>(), byte in any::<u8>(), damage in 0..3) {
            let mut line = serde_json::to_vec(&record).unwrap();
            let at = cut.index(line.len());
            match damage {
                0 => {}
                1 => line.truncate(at),
                _ => line[at] = byte,
            }
            let quick = parse(&line).ok().map(|record| fast(&record));
            let long = slowly(&line);
            if damage == 0 {
                prop_assert!(quick.is_some());
            }
            if let (Some(quick), Some(long)) = (quick, long) {
                prop_assert_eq!(quick, long);
            }
        }
    }
}
