//! The lines of one id, joined.

use crate::input::Found;
use serde::{Deserialize, Serialize};

/// Lines that are listed. Looks at one runaway come at doubling intervals: fifty are years.
const LISTED: usize = 50;

/// One runaway, as far as it was read.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: String,
    /// How it is listed among others.
    pub(super) first: String,
    pub(super) lines: Vec<Line>,
    pub(super) lines_total: u64,
    fullest: Vec<u8>,
    weight: Weight,
    end: Option<Vec<u8>>,
    died: Option<Vec<u8>>,
}

/// Where a line stands.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) event: String,
    pub(super) time: String,
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) offset: u64,
}

/// How much a line says, and then how late.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    verdict: bool,
    /// What a flight recorder had room for is less than what was seen.
    seen: bool,
    named: bool,
    time: String,
}

impl Case {
    pub(super) fn new(found: &Found<'_>) -> Self {
        let mut case = Self {
            id: found.record.id.to_string(),
            first: super::first_line(found.line, &found.record.id),
            lines: Vec::new(),
            lines_total: 0,
            fullest: Vec::new(),
            weight: Weight::default(),
            end: None,
            died: None,
        };
        case.add(found);
        case
    }

    pub(super) fn add(&mut self, found: &Found<'_>) {
        let record = &found.record;
        self.lines_total += 1;
        if self.lines.len() < LISTED {
            self.lines.push(Line {
                event: record.event.to_string(),
                time: record.time.to_string(),
                file: found.file.to_owned(),
                line: found.number,
                offset: found.offset,
            });
        }
        if record.outcome.is_some() {
            self.end = Some(found.line.to_vec());
        }
        if &*record.event == "died" {
            self.died = Some(found.line.to_vec());
        }
        let weight = Weight {
            verdict: record.verdict.is_some(),
            seen: &*record.event != "died",
            named: has_names(found.line),
            time: record.time.to_string(),
        };
        if self.fullest.is_empty() || weight >= self.weight {
            self.fullest = found.line.to_vec();
            self.weight = weight;
        }
    }

    /// The line that says most: with a verdict, with names on its stacks, and of those the last.
    pub(super) fn fullest(&self) -> &[u8] {
        &self.fullest
    }

    /// The line that says that its process died.
    pub(super) fn died(&self) -> Option<&[u8]> {
        self.died.as_deref()
    }

    /// The line that says how it ended.
    pub(super) fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stacks {
    evidence: Option<Evidence>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Evidence {
    stacks: Vec<Stack>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stack {
    frames: Vec<Frame>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame {
    function: Option<String>,
}

/// Whether any frame has the name of a function; before symbolization none has.
fn has_names(line: &[u8]) -> bool {
    let evidence = serde_json::from_slice::<Stacks>(line)
        .ok()
        .and_then(|read| read.evidence);
    let stacks = evidence.map(|evidence| evidence.stacks).unwrap_or_default();
    stacks
        .iter()
        .flat_map(|stack| &stack.frames)
        .any(|frame| frame.function.is_some())
}
