//! The process that catches, seen from outside.

use crate::talk::{Hear, Talk};
use crate::{PATIENCE, until};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;
use std::time::Duration;

/// Lines by event and id, and how often each is there.
pub type Lines = BTreeMap<(String, String), u32>;

/// What its sinks were told, by whether the line was durable.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Lines that were acknowledged.
    pub durable: Lines,
    /// Lines that sinks were told of before the disk had answered.
    pub waiting: Lines,
    /// The other lines on its standard output.
    answers: Vec<String>,
}

/// A running `catcher`; dropping it ends its process.
#[derive(Debug)]
pub struct Catcher(Talk<Told>);

impl Catcher {
    /// Starts one that logs to `log`, by `command`, such as `nsenter …`, whose arguments it becomes.
    pub fn start(command: Command, log: &Path, more: &[&str]) -> Self {
        Self(Talk::start(command, "catcher", |command| {
            command.arg(log).args(more)
        }))
    }

    /// What it was told so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.0.heard()
    }

    /// Sends a command.
    pub fn say(&mut self, command: &str) {
        self.0.say(command);
    }

    /// Sends a command and waits for the answer, a line that begins with the word `answer`.
    #[track_caller]
    pub fn ask(&mut self, command: &str, answer: &str) -> Vec<String> {
        self.say(command);
        self.answer(answer)
    }

    /// Waits for a line that begins with the word `answer`; the words behind it.
    #[track_caller]
    pub fn answer(&self, answer: &str) -> Vec<String> {
        let found = until(PATIENCE, || {
            let mut told = self.told();
            let is_it = |line: &String| line.split(' ').next() == Some(answer);
            let at = told.answers.iter().position(is_it)?;
            Some(told.answers.remove(at))
        });
        let found = found.unwrap_or_else(|| panic!("{answer} never came"));
        found.split(' ').skip(1).map(str::to_owned).collect()
    }

    /// Catches `requests` requests; how long the slowest of them took, in milliseconds, where each rests
    /// for 30.
    #[track_caller]
    pub fn catch(&mut self, requests: u32) -> u64 {
        let words = self.ask(&format!("catch {requests}"), "served");
        assert_eq!(words[0], requests.to_string(), "all are served");
        words[1].parse().expect("milliseconds")
    }

    /// Flushes with this deadline: whether all is on disk, and after how many milliseconds it said so.
    #[track_caller]
    pub fn flush(&mut self, deadline: Duration) -> (bool, u64) {
        let words = self.ask(&format!("flush {}", deadline.as_millis()), "flushed");
        (words[0] == "true", words[1].parse().expect("milliseconds"))
    }

    /// Lines that wait in memory, and reports that are lost.
    #[track_caller]
    pub fn stats(&mut self) -> (u64, u64) {
        let words = self.ask("stats", "stats");
        let number = |at: usize| words[at].parse().expect("a number");
        (number(0), number(1))
    }

    /// Kills it as `kill -9` does; what it was told until then.
    pub fn kill(self) -> Told {
        self.0.kill()
    }
}

impl Hear for Told {
    /// A line that the kill has cut tells nothing.
    fn hear(&mut self, line: String) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["line", event, id, durable, "."] => {
                let line = (event.to_owned(), id.to_owned());
                let lines = if durable == "true" {
                    &mut self.durable
                } else {
                    &mut self.waiting
                };
                *lines.entry(line).or_default() += 1;
            }
            _ => self.answers.push(line),
        }
    }
}

impl Told {
    /// Joins what another process was told.
    pub fn extend(&mut self, other: Self) {
        self.durable.extend(other.durable);
        self.waiting.extend(other.waiting);
    }

    /// All lines, durable or not.
    pub fn all(&self) -> Lines {
        let mut all = self.durable.clone();
        for (line, times) in &self.waiting {
            *all.entry(line.clone()).or_default() += times;
        }
        all
    }
}
