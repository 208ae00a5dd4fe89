//! A file that others append to, rename, truncate, remove and create anew.

use super::history;
use crate::input::{At, Lines, Piece};
use crate::sys::{self, Identity};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file is read on that has lost its name: its writer may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);

/// What came of looking at the log.
#[derive(Debug)]
pub(super) enum Happened {
    Line {
        bytes: Vec<u8>,
        at: At,
    },
    TooLong {
        at: At,
    },
    /// Something about the file that a person wants to know.
    News(String),
}

/// A log that is followed by its name.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    /// Lines to begin with, until the first file was opened.
    history: Option<usize>,
    open: Option<Open>,
    /// The file that had the name before, and until when it is read.
    renamed: Option<(Open, Instant)>,
    /// What was said last about a file that is not there, so that it is said once.
    said: Option<String>,
}

#[derive(Debug)]
struct Open {
    lines: Lines<File>,
    identity: Option<Identity>,
}

/// Whether `path` can be followed, or will be when it is there.
pub(super) fn check(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) => regular(&found)
            .and_then(|()| File::open(path).map(drop))
            .map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn regular(found: &Metadata) -> io::Result<()> {
    let what = if found.is_dir() {
        "is a directory; name the log in it, such as DIRECTORY/slow-requests.jsonl"
    } else if found.is_file() {
        return Ok(());
    } else {
        "is no regular file; a pipe can be read as standard input, with -"
    };
    Err(io::Error::other(what))
}

impl Follow {
    /// Follows `path`, beginning with the last `history` lines of what is there already.
    pub(super) fn new(path: &Path, history: usize) -> Self {
        Self {
            path: path.to_owned(),
            history: Some(history),
            open: None,
            renamed: None,
            said: None,
        }
    }

    /// What happened next; `None` when there is nothing more for now.
    pub(super) fn next(&mut self) -> Option<Happened> {
        if let Some(happened) = self.read_renamed() {
            return Some(happened);
        }
        match self.open.as_mut().map(Open::read) {
            Some(Ok(Some(happened))) => return Some(happened),
            Some(Err(error)) => return self.once(format!("cannot be read: {error}; trying again")),
            Some(Ok(None)) | None => {}
        }
        match fs::metadata(&self.path) {
            Ok(there) => self.compare(&there),
            Err(error) if error.kind() == ErrorKind::NotFound => self.missing(),
            Err(error) => self.once(format!("{error}; trying again")),
        }
    }

    fn read_renamed(&mut self) -> Option<Happened> {
        let (renamed, until) = self.renamed.as_mut()?;
        let happened = renamed.read();
        match happened {
            Ok(Some(happened)) => {
                *until = Instant::now() + GRACE;
                return Some(happened);
            }
            Ok(None) if Instant::now() < *until => {}
            Ok(None) | Err(_) => self.renamed = None,
        }
        None
    }

    /// Nothing more is in the open file: is it still the one that has the name?
    fn compare(&mut self, there: &Metadata) -> Option<Happened> {
        let Some(open) = &mut self.open else {
            return self.open_first(there);
        };
        if open.identity == sys::identity(there) {
            self.said = None;
            return open.restart_if_shorter();
        }
        match Open::at(&self.path, None) {
            Ok(new) => {
                self.said = None;
                let old = self.open.replace(new);
                self.renamed = old.map(|old| (old, Instant::now() + GRACE));
                Some(Happened::News("a new file has the name".to_owned()))
            }
            Err(error) => self.once(format!("{error}; trying again")),
        }
    }

    fn open_first(&mut self, there: &Metadata) -> Option<Happened> {
        let opened = regular(there).and_then(|()| Open::at(&self.path, self.history));
        match opened {
            Ok(open) => {
                self.open = Some(open);
                self.history = None;
                let was_missing = self.said.take().is_some();
                // Otherwise the next call reads from it, and it is not the last of this round.
                Some(if was_missing {
                    Happened::News("is there".to_owned())
                } else {
                    self.next()?
                })
            }
            Err(error) => self.once(format!("{error}; trying again")),
        }
    }

    fn missing(&mut self) -> Option<Happened> {
        // What is created now has no history: all of it is new.
        self.history = None;
        self.once(if self.open.is_some() {
            "has been renamed or removed; waiting for a new one".to_owned()
        } else {
            "does not exist yet; waiting for it".to_owned()
        })
    }

    fn once(&mut self, news: String) -> Option<Happened> {
        if self.said.as_ref() == Some(&news) {
            return None;
        }
        self.said = Some(news.clone());
        Some(Happened::News(news))
    }
}

impl Open {
    fn at(path: &Path, history: Option<usize>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        regular(&found)?;
        let begin = match history {
            Some(lines) => history::begin_of_last(&mut file, found.len(), lines)?,
            None => 0,
        };
        file.seek(SeekFrom::Start(begin))?;
        Ok(Self {
            lines: Lines::starting_at(file, begin),
            identity: sys::identity(&found),
        })
    }

    fn read(&mut self) -> io::Result<Option<Happened>> {
        Ok(self.lines.next_whole()?.map(|piece| match piece {
            Piece::Line { bytes, at } | Piece::Torn { bytes, at } => Happened::Line {
                bytes: bytes.to_vec(),
                at,
            },
            Piece::TooLong { at } => Happened::TooLong { at },
        }))
    }

    /// `logrotate` with `copytruncate` leaves the file and takes what is in it.
    fn restart_if_shorter(&mut self) -> Option<Happened> {
        let (file, read) = self.lines.source();
        if file.metadata().ok()?.len() >= read {
            return None;
        }
        let mut file = file.try_clone().ok()?;
        file.seek(SeekFrom::Start(0)).ok()?;
        self.lines = Lines::starting_at(file, 0);
        Some(Happened::News(
            "has been truncated; read from its beginning".to_owned(),
        ))
    }
}
