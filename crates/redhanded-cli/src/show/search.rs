//! Finds the runaway of an id or of its beginning, in one pass and bounded memory.

use super::case::Case;
use crate::input::Found;

/// Candidates that are listed when a beginning fits several.
const CANDIDATES: usize = 10;

/// The search for one id.
#[derive(Debug)]
pub(super) struct Search {
    wanted: String,
    /// The one whose id is exactly what was asked for; it may come after those that only begin so.
    exact: Option<Case>,
    begin_so: Vec<Case>,
    more: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Answer {
    Nothing,
    One(Box<Case>),
    Several { cases: Vec<Case>, more: bool },
}

impl Search {
    pub(super) fn new(wanted: &str) -> Self {
        Self {
            wanted: wanted.to_owned(),
            exact: None,
            begin_so: Vec::new(),
            more: false,
        }
    }

    pub(super) fn look_at(&mut self, found: &Found<'_>) {
        let id = found.record.id.as_bytes();
        let wanted = self.wanted.as_bytes();
        let Some(beginning) = id.get(..wanted.len()) else {
            return;
        };
        // Crockford's base 32 has no lower case, but people have.
        if !beginning.eq_ignore_ascii_case(wanted) {
            return;
        }
        if id.len() == wanted.len() {
            match &mut self.exact {
                Some(case) => case.add(found),
                None => self.exact = Some(Case::new(found)),
            }
            return;
        }
        let full = self.begin_so.len() >= CANDIDATES;
        let known = self
            .begin_so
            .iter_mut()
            .find(|case| case.id == *found.record.id);
        match known {
            Some(case) => case.add(found),
            None if full => self.more = true,
            None => self.begin_so.push(Case::new(found)),
        }
    }

    pub(super) fn answer(mut self) -> Answer {
        if let Some(case) = self.exact {
            return Answer::One(Box::new(case));
        }
        match self.begin_so.len() {
            0 => Answer::Nothing,
            1 => self
                .begin_so
                .pop()
                .map_or(Answer::Nothing, |case| Answer::One(Box::new(case))),
            _ => Answer::Several {
                cases: self.begin_so,
                more: self.more,
            },
        }
    }
}
