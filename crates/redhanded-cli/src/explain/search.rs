//! Finds the culprits of a fingerprint or of its beginning, in one pass and bounded memory.

use super::gathered::Gathered;
use crate::input::Found;
use crate::lenient;

/// Fingerprints that are listed when a beginning fits several.
const CANDIDATES: usize = 10;

/// The search for one fingerprint.
#[derive(Debug)]
pub(super) struct Search {
    wanted: String,
    candidates: Vec<(String, Gathered)>,
    more: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Answer {
    Nothing,
    One(Box<Gathered>),
    Several {
        fingerprints: Vec<String>,
        more: bool,
    },
}

impl Search {
    pub(super) fn new(wanted: &str) -> Self {
        Self {
            wanted: wanted.to_ascii_lowercase(),
            candidates: Vec::new(),
            more: false,
        }
    }

    pub(super) fn look_at(&mut self, found: &Found<'_>) {
        let record = &found.record;
        let (Some(fingerprint), Some(_)) = (&record.fingerprint, &record.verdict) else {
            return;
        };
        if record.request.is_none() || !fingerprint.to_ascii_lowercase().starts_with(&self.wanted) {
            return;
        }
        let known = self
            .candidates
            .iter()
            .position(|(f, _)| **f == **fingerprint);
        let at = match known {
            Some(at) => at,
            None if self.candidates.len() >= CANDIDATES => {
                self.more = true;
                return;
            }
            None => {
                let gathered = Gathered::new(fingerprint);
                self.candidates.push((fingerprint.to_string(), gathered));
                self.candidates.len() - 1
            }
        };
        if let (Some((_, gathered)), Some(read)) =
            (self.candidates.get_mut(at), lenient::report(found.line))
        {
            gathered.add(&read.report);
        }
    }

    /// Of several, the only one that has culprits; or the one that is exactly what was asked for.
    pub(super) fn answer(mut self) -> Answer {
        let exact = |(f, _): &(String, Gathered)| f.eq_ignore_ascii_case(&self.wanted);
        if let Some(at) = self.candidates.iter().position(exact) {
            self.candidates = vec![self.candidates.swap_remove(at)];
            self.more = false;
        }
        self.candidates.retain(|(_, gathered)| !gathered.is_empty());
        if self.candidates.len() > 1 || self.more {
            let fingerprints = self.candidates.into_iter().map(|(f, _)| f);
            return Answer::Several {
                fingerprints: fingerprints.collect(),
                more: self.more,
            };
        }
        let only = self.candidates.pop();
        only.map_or(Answer::Nothing, |(_, one)| Answer::One(Box::new(one)))
    }
}
