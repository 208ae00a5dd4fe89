//! Logs in, records out; what is no record is skipped with a warning.

mod lines;
mod order;
mod source;
mod warnings;

pub(crate) use lines::{At, Lines, Piece};
pub(crate) use source::{Source, is_stdin, name_of};
pub(crate) use warnings::Warnings;

use crate::record::{self, Record};
use std::io;
use std::path::PathBuf;

/// A record and where it stands.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    /// The line as it is in the log, without its end.
    pub(crate) line: &'a [u8],
    /// The log's name, as it may be shown.
    pub(crate) file: &'a str,
    /// From 1.
    pub(crate) number: u64,
    /// Of the line's first byte; in a packed log, of what is inside.
    pub(crate) offset: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) records: u64,
    pub(crate) skipped: u64,
    /// At least one file could not be read, or not to its end.
    pub(crate) unreadable: bool,
}

impl Summary {
    /// What was read, for who finds nothing in it.
    pub(crate) fn in_words(&self) -> String {
        match self.records {
            0 => "no record of a runaway in what was read".to_owned(),
            1 => "one record was read".to_owned(),
            many => format!("{many} records were read"),
        }
    }
}

/// Reads all `files`, the oldest first, and gives each record to `each`. Problems go to stderr.
///
/// # Errors
///
/// Whatever `each` fails with.
pub(crate) fn read(
    files: &[PathBuf],
    mut each: impl FnMut(&Found<'_>) -> io::Result<()>,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    for path in order::oldest_first(files) {
        let name = name_of(&path);
        match Source::open(&path) {
            Ok(source) => {
                summary.files += 1;
                read_one(source, &mut summary, &mut each)?;
            }
            Err(why) => {
                crate::output::complain(&format!("{name}: {why}"));
                summary.unreadable = true;
            }
        }
    }
    Ok(summary)
}

fn read_one(
    source: Source,
    summary: &mut Summary,
    each: &mut impl FnMut(&Found<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut warnings = Warnings::new(&source.name);
    let mut lines = Lines::new(source.reader);
    loop {
        let piece = match lines.next() {
            Ok(None) => break,
            Ok(Some(piece)) => piece,
            Err(error) => {
                warnings.unreadable(lines.offset(), &error);
                summary.unreadable = true;
                break;
            }
        };
        summary.lines += 1;
        let (line, at, complete) = match piece {
            Piece::Line { bytes, at } => (bytes, at, true),
            Piece::Torn { bytes, at } => (bytes, at, false),
            Piece::TooLong { at } => {
                warnings.skip(at, "longer than 16 MiB");
                continue;
            }
        };
        // A writer that finds a torn line ends it, and sometimes there was none.
        if line.trim_ascii().is_empty() {
            continue;
        }
        match record::parse(line) {
            Ok(record) => {
                summary.records += 1;
                warnings.look_at(&record);
                each(&Found {
                    record,
                    line,
                    file: &source.name,
                    number: at.number,
                    offset: at.offset,
                })?;
            }
            Err(_) if !complete => warnings.unfinished(at),
            Err(why) => warnings.skip(at, &why),
        }
    }
    summary.skipped += warnings.finish();
    Ok(())
}
