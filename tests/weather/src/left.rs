//! What is left on the disk.

use crate::catcher::Lines;
use redhanded::report::Report;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The lines of a log and of all files that it was rotated to.
#[derive(Debug, Default)]
pub struct Left {
    /// How often each line is there, by event and id.
    pub lines: Lines,
    /// Lines that say `"durable":false`.
    pub not_durable: u32,
    /// Whole lines that are no records: pieces that somebody else's newline has ended.
    pub torn: Vec<String>,
    /// Files that end in the middle of a line.
    pub torn_ends: u32,
    /// Files.
    pub files: usize,
}

/// A log and what it was rotated to, by whomever: `log`, `log.1`, `log.2.gz`.
pub fn files_of(log: &Path) -> Vec<PathBuf> {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let directory = log.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| {
        let found = path.file_name().unwrap_or_default().to_string_lossy();
        found
            .strip_prefix(&*name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    files.sort();
    files
}

impl Left {
    /// Reads them all.
    pub fn of(log: &Path) -> Self {
        let mut left = Self::default();
        for file in files_of(log) {
            left.files += 1;
            left.read(&content(&file));
        }
        left
    }

    fn read(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                self.torn_ends += 1;
                continue;
            };
            if line.is_empty() {
                continue;
            }
            let Ok(report) = serde_json::from_str::<Report>(line) else {
                self.torn.push(line.to_owned());
                continue;
            };
            assert!(report.id.len() == 26, "no half id: {line}");
            self.not_durable += u32::from(!report.durable);
            let event = report.event.as_str().to_owned();
            *self.lines.entry((event, report.id)).or_default() += 1;
        }
    }

    /// Those of `lines` that are not there as often as they should be.
    pub fn missing(&self, lines: &Lines) -> Vec<String> {
        let there = |line| self.lines.get(line).copied().unwrap_or_default();
        let missing = lines.iter().filter(|(line, times)| there(line) < **times);
        missing
            .map(|((event, id), _)| format!("{event} {id}"))
            .collect()
    }
}

fn content(file: &Path) -> Vec<u8> {
    if file.extension().is_some_and(|end| end == "gz") {
        let unpacked = Command::new("gzip").arg("-dc").arg(file).output();
        return unpacked.expect("gzip is everywhere").stdout;
    }
    std::fs::read(file).expect("it can be read")
}
