//! The process that catches, seen from outside.

use crate::{PATIENCE, until};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
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
pub struct Catcher {
    child: Child,
    commands: Option<ChildStdin>,
    told: Arc<Mutex<Told>>,
    reader: Option<JoinHandle<()>>,
}

/// A program that is built beside this one.
pub fn sibling(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a program has a path");
    let found = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name));
    found
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built beside {}", here.display()))
}

impl Catcher {
    /// Starts one that logs to `log`, by `command`, such as `nsenter …`, whose arguments it becomes.
    pub fn start(mut command: Command, log: &Path, more: &[&str]) -> Self {
        let mut child = command
            .arg(sibling("catcher"))
            .arg(log)
            .args(more)
            .env("REDHANDED_LOG", "warn")
            .env_remove("REDHANDED_SLOW_LOG")
            .env_remove("REDHANDED_SLOW_AFTER")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is built");
        let told: Arc<Mutex<Told>> = Arc::default();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let heard = told.clone();
        let reader = std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                heard.lock().expect("no panic").hear(&line);
            }
        });
        Self {
            commands: child.stdin.take(),
            child,
            told,
            reader: Some(reader),
        }
    }

    /// What it was told so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no panic")
    }

    /// Sends a command.
    pub fn say(&mut self, command: &str) {
        let stdin = self.commands.as_mut().expect("it is not dropped");
        writeln!(stdin, "{command}").expect("it listens");
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
    pub fn kill(mut self) -> Told {
        self.end();
        self.told().clone()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.end();
    }
}

impl Told {
    /// A line that the kill has cut tells nothing.
    fn hear(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
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
