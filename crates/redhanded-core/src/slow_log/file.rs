//! The log as a file that others may rename, remove, truncate or take away with its disk.

use super::disk::{Disk, append_all};
use super::queue::Queue;
use super::{Limits, rotate, sys};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log file, open unless its path leads nowhere at the moment.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    limits: Limits,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The file ends in the middle of a line.
    torn: bool,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        let open = Open::at(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("slow-request log {}: {error}", path.display()),
            )
        })?;
        Ok(Self {
            path,
            limits,
            open: Some(open),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes lines from the front of `queue` and syncs; says how many are durable now.
    pub(super) fn put(&mut self, queue: &Queue) -> io::Result<usize> {
        self.follow()?;
        let first = queue.lines().next().map_or(0, <[u8]>::len);
        self.make_room(first as u64)?;
        let limit = self.limits.max_bytes;
        match &mut self.open {
            Some(open) => {
                // Again each time: another writer may have been mending when we first said so.
                sys::announce_writer(&open.file);
                append_all(&mut open.file, queue.lines(), limit, &mut open.torn)
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Opens anew when the path leads elsewhere: logrotate's `create`, a removed file, a new mount.
    fn follow(&mut self) -> io::Result<()> {
        let here = match (&self.open, fs::metadata(&self.path)) {
            (Some(open), Ok(there)) => sys::same_file(&open.file, &there),
            (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            // Hidden from us for another reason: the file that is open is still the best we have.
            (Some(_), Err(_)) => true,
            (None, _) => false,
        };
        if !here {
            self.open = None;
            self.open = Some(Open::at(&self.path)?);
        }
        Ok(())
    }

    /// Begins a new file when `bytes` more would be too many. A directory that refuses the rename
    /// costs us the bound and not the record.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let size = open.file.size()?;
        let full = self.limits.max_bytes > 0
            && size > 0
            && size.saturating_add(bytes) > self.limits.max_bytes;
        if full {
            // A symbolic link stays where it is; the file behind it is the one that moves.
            let _ = fs::canonicalize(&self.path)
                .and_then(|path| rotate::rotate(&path, &open.file, self.limits.keep));
            self.follow()?;
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        // Looked at first, because opening a FIFO would wait for its reader.
        let found = fs::metadata(path);
        if let Ok(found) = &found {
            check(found)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        sys::private(&mut options);
        let file = options.open(path)?;
        let size = {
            let opened = file.metadata()?;
            check(&opened)?;
            opened.len()
        };
        if found.is_err() {
            rotate::sync_directory_of(path);
        }
        sys::announce_writer(&file);
        let torn = size > 0 && !ends_in_newline(path);
        Ok(Self { file, torn })
    }
}

fn check(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let kind = if found.is_dir() {
        "a directory"
    } else {
        "no regular file (for standard error say `stderr`)"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("is {kind}"),
    ))
}

/// A file we cannot read is taken to end in a torn line: an empty line harms no reader.
fn ends_in_newline(path: &Path) -> bool {
    let last_byte = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        io::Result::Ok(byte[0])
    };
    last_byte().is_ok_and(|byte| byte == b'\n')
}
