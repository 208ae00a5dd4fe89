//! What is wrong with one log: the first few problems in full, the others counted.

use super::lines::At;
use crate::output::complain;
use crate::record::Record;
use redhanded_report::{Class, Event, Role};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use std::io;

/// Problems of one log that are said in full.
const SAID: u64 = 10;
/// Characters of a problem that are said.
const LONGEST: usize = 200;
/// The version of the contract that this program knows.
const VERSION: u32 = 1;

/// The problems of one log.
#[derive(Debug)]
pub(crate) struct Warnings {
    file: String,
    skipped: u64,
    newer: bool,
    words: [bool; 3],
}

impl Warnings {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            skipped: 0,
            newer: false,
            words: [false; 3],
        }
    }

    /// A line that is no record.
    pub(crate) fn skip(&mut self, at: At, why: &str) {
        self.skipped += 1;
        if self.skipped <= SAID {
            let why: String = why.chars().take(LONGEST).collect();
            self.say(&format!("{}: skipped: {why}", place(at)));
        } else if self.skipped == SAID + 1 {
            self.say("other lines that are skipped are only counted");
        }
    }

    /// A last line without its end.
    pub(crate) fn unfinished(&self, at: At) {
        self.say(&format!(
            "{}: the last line has no end; it is still being written, or was cut off",
            place(at)
        ));
    }

    /// The log cannot be read any further.
    pub(crate) fn unreadable(&self, offset: u64, error: &io::Error) {
        self.say(&format!("cannot be read after byte {offset}: {error}"));
    }

    /// Says once what of a newer version is in this log.
    pub(crate) fn look_at(&mut self, record: &Record<'_>) {
        if !self.newer && record.version().is_some_and(|version| version > VERSION) {
            self.newer = true;
            self.say(&format!(
                "written by a newer redhanded ({}, known here is redhanded/{VERSION}); what is known of it is read",
                &*record.schema
            ));
        }
        let verdict = record.verdict.as_ref();
        let unknown = [
            (
                "event",
                Some(&record.event).filter(|word| !is_known::<Event>(word)),
            ),
            (
                "class",
                verdict
                    .map(|v| &v.class)
                    .filter(|word| !is_known::<Class>(word)),
            ),
            (
                "role",
                verdict
                    .map(|v| &v.role)
                    .filter(|word| !is_known::<Role>(word)),
            ),
        ];
        for (index, (what, word)) in unknown.into_iter().enumerate() {
            if let Some(word) = word.filter(|_| !self.words[index]) {
                self.words[index] = true;
                let word: String = word.chars().take(LONGEST).collect();
                self.say(&format!(
                    "has the {what} {word:?}, which this version does not know"
                ));
            }
        }
    }

    /// How many lines were skipped; says so if not all of them were said.
    pub(crate) fn finish(self) -> u64 {
        if self.skipped > SAID {
            self.say(&format!("{} more lines were skipped", self.skipped - SAID));
        }
        self.skipped
    }

    fn say(&self, text: &str) {
        complain(&format!("{}: {text}", self.file));
    }
}

fn place(at: At) -> String {
    match at.number {
        0 => format!("byte {}", at.offset),
        number => format!("line {number}, byte {}", at.offset),
    }
}

fn is_known<'w, T: Deserialize<'w>>(word: &'w str) -> bool {
    let deserializer: StrDeserializer<'w, Error> = word.into_deserializer();
    T::deserialize(deserializer).is_ok()
}
