//! The process that dies, seen from outside, and what it leaves in its flight recorder.

use crate::talk::{Hear, Talk};
use crate::{PATIENCE, until};
use redhanded::report::recorder::{Recording, read};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::MutexGuard;

/// What a doomed process has said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Requests whose handler has begun, and has not ended: they are in flight for certain.
    pub in_flight: BTreeSet<u64>,
    /// Lines that were durable: event, id and URL.
    pub lines: BTreeSet<(String, String, String)>,
    /// The rest, by its first word.
    pub answers: BTreeMap<String, String>,
}

/// A running `doomed`; dropping it ends its process.
#[derive(Debug)]
pub struct Doomed(Talk<Said>);

/// Log and flight recorder of processes that follow one another.
#[derive(Clone, Debug)]
pub struct Files {
    /// The slow-request log.
    pub log: PathBuf,
    /// The flight recorder's file.
    pub recorder: PathBuf,
}

impl Files {
    /// In `directory`.
    pub fn at(directory: &Path) -> Self {
        Self {
            log: directory.join("slow.jsonl"),
            recorder: directory.join("requests.rh"),
        }
    }

    /// What the flight recorder's file says, and its bytes.
    pub fn recording(&self) -> Result<(Recording, Vec<u8>), String> {
        let bytes = std::fs::read(&self.recorder).map_err(|error| error.to_string())?;
        let recording = read(&bytes).map_err(|refused| refused.to_string())?;
        Ok((recording, bytes))
    }
}

impl Doomed {
    /// Starts one by `command`, such as `env`, whose arguments it becomes.
    pub fn start(command: Command, files: &Files, first: u64, more: &[&str]) -> Self {
        Self(Talk::start(command, "doomed", |command| {
            command
                .args([&files.log, &files.recorder])
                .arg(first.to_string())
                .args(more)
                .stderr(Stdio::null())
        }))
    }

    /// What it said so far.
    pub fn said(&self) -> MutexGuard<'_, Said> {
        self.0.heard()
    }

    /// Its process id, if `command` has become it.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Sends a command.
    pub fn say(&mut self, command: &str) {
        self.0.say(command);
    }

    /// Waits until what it said is `enough`.
    #[track_caller]
    pub fn wait(&self, enough: impl Fn(&Said) -> bool) {
        let came = until(PATIENCE, || enough(&self.said()).then_some(()));
        assert!(came.is_some(), "it never came: {:?}", self.said());
    }

    /// Waits for an answer that begins with `word`; what follows.
    #[track_caller]
    pub fn answer(&self, word: &str) -> String {
        let answer = until(PATIENCE, || self.said().answers.remove(word));
        answer.unwrap_or_else(|| panic!("{word} never came: {:?}", self.said()))
    }

    /// Waits until it has died, by itself; how.
    #[track_caller]
    pub fn death(self) -> (ExitStatus, Said) {
        self.0.death()
    }

    /// Kills it as `kill -9` does; what it had said.
    pub fn kill(self) -> Said {
        self.0.kill()
    }
}

impl Hear for Said {
    /// A line that the kill has cut tells nothing.
    fn hear(&mut self, line: String) {
        let Some(whole) = line.strip_suffix(" .").or_else(|| line.strip_suffix('.')) else {
            return;
        };
        match whole.split(' ').collect::<Vec<_>>()[..] {
            ["begun", number] => self.in_flight.extend(number.parse::<u64>()),
            ["ended", number] => {
                if let Ok(number) = number.parse() {
                    self.in_flight.remove(&number);
                }
            }
            ["line", event, id, "true", url] => {
                self.lines
                    .insert((event.to_owned(), id.to_owned(), url.to_owned()));
            }
            ["line", ..] => {}
            _ => {
                let (word, rest) = whole.split_once(' ').unwrap_or((whole, ""));
                self.answers.insert(word.to_owned(), rest.to_owned());
            }
        }
    }
}

impl Said {
    /// Ids and numbers of the requests that were caught with a durable line.
    pub fn caught(&self) -> impl Iterator<Item = (&str, u64)> {
        let caught = self.lines.iter().filter(|(event, ..)| event == "caught");
        caught.filter_map(|(_, id, url)| Some((id.as_str(), number_in(url)?)))
    }
}

/// The number of the request that was asked by this URL.
pub fn number_in(url: &str) -> Option<u64> {
    let (_, query) = url.split_once("?n=")?;
    query.split('&').next()?.parse().ok()
}
