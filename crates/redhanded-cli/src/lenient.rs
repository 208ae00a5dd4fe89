//! A line as a whole [`Report`], although a newer writer has words that we do not know.

use redhanded_report::{
    Action, Class, Confidence, Event, How, Phase, Report, Role, StackKind, WaitKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A report, and what had to be replaced in it.
#[derive(Debug)]
pub(crate) struct Lenient {
    pub(crate) report: Report,
    /// Such as `verdict.class "gpu_loop"`.
    pub(crate) unknown: Vec<String>,
}

/// `None` when the line cannot be made a report even so.
pub(crate) fn report(line: &[u8]) -> Option<Lenient> {
    if let Ok(report) = serde_json::from_slice(line) {
        return Some(Lenient {
            report,
            unknown: Vec::new(),
        });
    }
    let mut value: Value = serde_json::from_slice(line).ok()?;
    let mut unknown = Vec::new();
    replace_unknown_words(&mut value, &mut unknown);
    let report = serde_json::from_value(value).ok()?;
    Some(Lenient { report, unknown })
}

/// Puts the least that can be claimed in the place of each word that is not known.
fn replace_unknown_words(report: &mut Value, unknown: &mut Vec<String>) {
    let mut all = Words { unknown };
    all.word::<Event>(Some(report), "event", json!("updated"));
    all.word::<Option<Phase>>(Some(report), "phase", Value::Null);
    all.word::<Action>(Some(report), "action", json!("none"));
    all.word::<How>(report.get_mut("outcome"), "outcome.how", json!("dropped"));
    if let Some(verdict) = report.get_mut("verdict") {
        all.word::<Class>(Some(verdict), "verdict.class", json!("unknown"));
        all.word::<Role>(Some(verdict), "verdict.role", json!("bystander"));
        all.word::<Confidence>(Some(verdict), "verdict.confidence", json!("suspected"));
        all.word::<WaitKind>(
            verdict.get_mut("waiting_for"),
            "verdict.waiting_for.kind",
            json!("other"),
        );
    }
    let stacks = report
        .pointer_mut("/evidence/stacks")
        .and_then(Value::as_array_mut);
    for stack in stacks.into_iter().flatten() {
        all.word::<StackKind>(Some(stack), "evidence.stacks.kind", json!("thread"));
    }
}

struct Words<'a> {
    unknown: &'a mut Vec<String>,
}

impl Words<'_> {
    /// Replaces the last part of `path` in `object` by `instead` if it is there and no `T`.
    fn word<T: DeserializeOwned>(
        &mut self,
        object: Option<&mut Value>,
        path: &str,
        instead: Value,
    ) {
        let key = path.rsplit('.').next().unwrap_or(path);
        let found = object.and_then(|object| object.get_mut(key));
        if let Some(word) = found.filter(|word| T::deserialize(&**word).is_err()) {
            self.unknown.push(format!("{path} {word}"));
            *word = instead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::report;
    use redhanded_report::{Class, Event, Role};

    const CAUGHT: &str = include_str!("../../redhanded-report/fixtures/caught.jsonl");

    #[test]
    fn a_newer_line_is_read_as_far_as_it_is_known() {
        let line = CAUGHT.lines().next().unwrap();
        let exact = report(line.as_bytes()).unwrap();
        assert!(exact.unknown.is_empty());
        let newer = line
            .replace("\"cpu_loop\"", "\"gpu_loop\"")
            .replace("\"event\":\"caught\"", "\"event\":\"cloned\"")
            .replace("\"role\":\"culprit\"", "\"role\":\"accomplice\"")
            .replace("\"kind\":\"thread\"", "\"kind\":\"fiber\"")
            .replace("\"phase\":\"handler\"", "\"phase\":\"trailers\"");
        let read = report(newer.as_bytes()).unwrap();
        let verdict = read.report.verdict.unwrap();
        assert_eq!(
            (read.report.event, verdict.class, verdict.role),
            (Event::Updated, Class::Unknown, Role::Bystander)
        );
        assert_eq!(read.report.request, exact.report.request);
        assert_eq!(read.unknown.len(), 6, "{:?}", read.unknown);
        assert!(
            read.unknown
                .contains(&"verdict.class \"gpu_loop\"".to_owned())
        );
    }

    #[test]
    fn what_is_no_report_is_none() {
        for line in ["", "{}", "[1]", "{\"verdict\":7}", "\u{0}"] {
            assert!(report(line.as_bytes()).is_none(), "{line}");
        }
    }
}
