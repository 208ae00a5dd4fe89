//! The slow-request log: one JSON line per record, on disk before anything is done about it.
//!
//! A thread of its own writes it, and nobody else touches the path once it is open: a disk that hangs
//! stops that thread alone. What the disk has not taken waits in bounded memory and is tried again; what
//! does not fit there is dropped and counted. Nothing here waits for a lock that is held during I/O, nor
//! for one that an application thread could hold, and no error leaves this module but the first one,
//! from [`SlowLog::open`].

mod disk;
mod file;
mod files;
mod queue;
mod recent;
mod rotate;
#[cfg_attr(unix, path = "sys/unix.rs")]
#[cfg_attr(not(unix), path = "sys/other.rs")]
mod sys;
mod writer;

use file::LogFile;
use queue::Line;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use writer::Desk;
pub(crate) use writer::Writer;

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
            max_bytes: crate::config::LOG_MAX_BYTES,
            keep: crate::config::LOG_KEEP,
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
    /// The disk refused or has not answered in time; as line of that number it waits in memory behind
    /// those that waited before.
    Waiting(u64),
    /// It was too long, or memory was full: dropped and counted.
    Lost,
}

/// The slow-request log, open for appending: the end that whoever has records holds.
#[derive(Debug)]
pub(crate) struct SlowLog {
    desk: Arc<Desk>,
}

/// The same log for those who only ask how it is; it does not keep the writer alive.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    desk: Arc<Desk>,
}

#[derive(Debug)]
enum Sink {
    File(LogFile),
    Stderr { torn: bool },
    Nowhere,
}

impl SlowLog {
    /// Opens the log, creating the file (never its directory) if it does not exist. The writer waits
    /// to be run on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the path is no regular file or cannot be opened for appending; the error names it.
    pub(crate) fn open(target: Target, limits: Limits) -> io::Result<(Self, Writer)> {
        let sink = match target {
            Target::Path(path) => Sink::File(LogFile::open(path, limits)?),
            Target::Stderr => Sink::Stderr { torn: false },
            Target::Nowhere => Sink::Nowhere,
        };
        let desk = Desk::new(limits.memory_bytes);
        let log = Self { desk: desk.clone() };
        Ok((log, Writer { desk, sink }))
    }

    /// Hands in one record, a line without its newline, behind those that still wait, and waits for the
    /// disk: 200 ms at most, and not at all for one that has been silent for longer.
    pub(crate) fn append(&self, record: &[u8]) -> Written {
        if record.len() > LONGEST_LINE {
            self.desk.count_loss();
            return Written::Lost;
        }
        self.desk.append(record)
    }

    /// Hands in several records at once, all or none, and waits for the disk as for one. The number of the last line,
    /// or `None` where there is no room for all of them yet; nothing is dropped then.
    pub(crate) fn append_all(&self, records: &[Vec<u8>]) -> Option<u64> {
        self.desk.append_all(records)
    }

    /// Whether the disk has the line of that number.
    pub(crate) fn is_durable(&self, number: u64) -> bool {
        self.desk.is_durable(number)
    }

    /// Writes the waiting line `number` anew; `false` when the disk has it already, or is being asked to
    /// take it at this moment.
    pub(crate) fn replace(&self, number: u64, record: &[u8]) -> bool {
        record.len() <= LONGEST_LINE && self.desk.replace(number, record)
    }

    /// How many records were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.desk.lost()
    }

    /// For those who only ask.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            desk: self.desk.clone(),
        }
    }
}

impl Drop for SlowLog {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl Progress {
    /// How many records wait in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.desk.waiting()
    }

    /// Waits until every record that was handed in so far is durable, at most until `until`.
    pub(crate) fn flush(&self, until: Instant) -> bool {
        self.desk.flush(until)
    }
}

impl Writer {
    /// The file as it was given, if the log is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.sink {
            Sink::File(file) => Some(file.path()),
            Sink::Stderr { .. } | Sink::Nowhere => None,
        }
    }
}

impl Sink {
    /// Writes lines from the front and says how many are durable now.
    fn put(&mut self, lines: &[Line]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.put(lines),
            Self::Nowhere => Ok(lines.len()),
            Self::Stderr { torn } => {
                let mut stderr = sys::stderr()?;
                let mut done = 0;
                for line in lines {
                    if let Err(error) = disk::append(&mut stderr, line, torn) {
                        return if done > 0 { Ok(done) } else { Err(error) };
                    }
                    done += 1;
                }
                Ok(done)
            }
        }
    }

    fn may_look(&self) -> bool {
        matches!(self, Self::File(file) if file.may_look())
    }

    fn look(&mut self) {
        if let Self::File(file) = self {
            file.look();
        }
    }
}

#[cfg(test)]
mod tests;
