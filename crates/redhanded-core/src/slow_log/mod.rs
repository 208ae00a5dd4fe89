//! The slow-request log: one JSON line per record, on disk before anything is done about it.
//!
//! One thread writes it. What the disk refuses waits in bounded memory and is tried again; what
//! does not fit there is dropped and counted. Nothing here waits for a lock that an application
//! thread could hold, and no error leaves this module but the first one, from [`SlowLog::open`].

mod disk;
mod file;
mod queue;
mod rotate;
#[cfg_attr(unix, path = "sys/unix.rs")]
#[cfg_attr(not(unix), path = "sys/other.rs")]
mod sys;

use file::LogFile;
use queue::Queue;
use std::io;
use std::path::{Path, PathBuf};

/// A longer line is no record of ours but a mistake; readers need a bound as well.
pub(crate) const LONGEST_LINE: usize = 1024 * 1024;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A regular file, created with mode 0600 if it does not exist.
    Path(PathBuf),
    /// Standard error of the process.
    Stderr,
    /// Nowhere, at once.
    Nowhere,
}

/// How much the log may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Size in bytes that a file is rotated at; 0: never by us.
    pub(crate) max_bytes: u64,
    /// How many rotated files are kept, `.1` being the youngest; 0: a full file is removed.
    pub(crate) keep: u32,
    /// Bytes of records that may wait in memory while the disk refuses. One record always may.
    pub(crate) memory_bytes: usize,
}

impl Default for Limits {
    /// 64 MiB × 8, and 4 MiB of memory.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            keep: 8,
            memory_bytes: 4 << 20,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Written {
    /// It is on disk (for standard error: it was written), and so is every one before it.
    Durable,
    /// The disk refused; it waits in memory behind those that waited before.
    Waiting,
    /// It was too long, or memory was full: dropped and counted.
    Lost,
}

/// The slow-request log, open for appending.
#[derive(Debug)]
pub(crate) struct SlowLog {
    sink: Sink,
    queue: Queue,
    lost: u64,
}

#[derive(Debug)]
enum Sink {
    File(LogFile),
    Stderr { torn: bool },
    Nowhere,
}

impl SlowLog {
    /// Opens the log, creating the file (never its directory) if it does not exist.
    ///
    /// # Errors
    ///
    /// When the path is no regular file or cannot be opened for appending; the error names it.
    pub(crate) fn open(target: Target, limits: Limits) -> io::Result<Self> {
        let sink = match target {
            Target::Path(path) => Sink::File(LogFile::open(path, limits)?),
            Target::Stderr => Sink::Stderr { torn: false },
            Target::Nowhere => Sink::Nowhere,
        };
        Ok(Self {
            sink,
            queue: Queue::new(limits.memory_bytes),
            lost: 0,
        })
    }

    /// Writes one record, a line without its newline, behind those that still wait.
    pub(crate) fn append(&mut self, record: &[u8]) -> Written {
        if record.len() > LONGEST_LINE {
            self.lost += 1;
            return Written::Lost;
        }
        if !self.queue.has_room(record.len()) {
            self.retry();
        }
        if !self.queue.push(record) {
            self.lost += 1;
            return Written::Lost;
        }
        if self.retry() {
            Written::Durable
        } else {
            Written::Waiting
        }
    }

    /// Tries again to write what waits; `true` when nothing waits any more. Cheap when nothing does.
    pub(crate) fn retry(&mut self) -> bool {
        while !self.queue.is_empty() {
            match self.sink.put(&self.queue) {
                Ok(durable) if durable > 0 => self.queue.forget(durable),
                _ => return false,
            }
        }
        true
    }

    /// How many records were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// How many records wait in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The file as it was given, if the log is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.sink {
            Sink::File(file) => Some(file.path()),
            Sink::Stderr { .. } | Sink::Nowhere => None,
        }
    }
}

impl Sink {
    /// Writes lines from the front of `queue` and says how many are durable now, at least one.
    fn put(&mut self, queue: &Queue) -> io::Result<usize> {
        match self {
            Self::File(file) => file.put(queue),
            Self::Nowhere => Ok(queue.len()),
            Self::Stderr { torn } => {
                let mut stderr = sys::stderr()?;
                let mut done = 0;
                for line in queue.lines() {
                    if let Err(error) = disk::append(&mut stderr, line, torn) {
                        return if done > 0 { Ok(done) } else { Err(error) };
                    }
                    done += 1;
                }
                Ok(done)
            }
        }
    }
}

#[cfg(test)]
mod tests;
