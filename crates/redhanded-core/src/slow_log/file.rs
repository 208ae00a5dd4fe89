//! The log as a file that others may rename, remove, truncate or take away with its disk.

use super::disk::{Disk, append_all};
use super::files::{Files, Real, directory_of};
use super::queue::Line;
use super::recent::Recent;
use super::{Limits, rotate, sys};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How often lines are written again because the file was moved away while they were written.
const MOVES: u32 = 3;

/// A log file, open unless its path leads nowhere at the moment.
#[derive(Debug)]
pub(super) struct LogFile<F: Files = Real> {
    files: F,
    path: PathBuf,
    limits: Limits,
    /// The mount that the log was on at first; below it, lines would be hidden when it is back.
    mount: Option<PathBuf>,
    open: Option<Open<F::File>>,
}

#[derive(Debug)]
struct Open<D> {
    file: D,
    /// The file ends in the middle of a line.
    torn: bool,
    /// How long it was at least when it was last written; shorter means truncated.
    end: u64,
    recent: Recent,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        Self::open_with(Real, path, limits)
    }
}

impl<F: Files> LogFile<F> {
    pub(super) fn open_with(files: F, path: PathBuf, limits: Limits) -> io::Result<Self> {
        let open = Open::at(&files, &path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("slow-request log {}: {error}", path.display()),
            )
        })?;
        let real = files.real_path(&path).ok();
        Ok(Self {
            files,
            mount: real.and_then(|path| sys::mount_of(directory_of(&path))),
            path,
            limits,
            open: Some(open),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `lines` from the front and syncs; says how many are durable now, and stand where the path
    /// leads.
    pub(super) fn put(&mut self, lines: &[Line]) -> io::Result<usize> {
        let first = lines.first().map_or(0, |line| line.len() as u64);
        let mut durable = 0;
        for _ in 0..MOVES {
            self.follow()?;
            self.make_room(first)?;
            let Some(open) = &mut self.open else {
                return Err(io::ErrorKind::NotFound.into());
            };
            durable = open.put(lines, self.limits.max_bytes)?;
            // Whoever has moved the file meanwhile may compress or remove it without these lines.
            if self.is_here() {
                break;
            }
        }
        Ok(durable)
    }

    /// Whether something was written so lately that a truncation may have taken it.
    pub(super) fn may_look(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| !open.recent.is_empty())
    }

    /// Sees whether the file was truncated under the lines that were written lately, which were perhaps
    /// not copied before, and writes them again.
    pub(super) fn look(&mut self) {
        if !self.is_here() {
            return;
        }
        if let Some(open) = &mut self.open {
            open.recent.forget_old(Instant::now());
            if open.is_truncated() {
                // What fails is seen again next time.
                let _ = open.put(&[], 0);
            }
        }
    }

    /// Whether the path still leads to the open file, as far as one can see.
    fn is_here(&self) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        match self.files.leads_to(&self.path, &open.file) {
            Ok(here) => here,
            // Hidden from us for another reason: the file that is open is still the best we have.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Opens anew when the path leads elsewhere: logrotate's `create`, a removed file, a new mount.
    fn follow(&mut self) -> io::Result<()> {
        if !self.is_here() {
            self.open = None;
            if self.mount.as_ref().is_some_and(|at| !sys::is_mount(at)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.open = Some(Open::at(&self.files, &self.path)?);
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
            let real = self.files.real_path(&self.path);
            let _ = real
                .and_then(|path| rotate::rotate(&self.files, &path, &open.file, self.limits.keep));
            self.follow()?;
        }
        Ok(())
    }
}

impl<D: Disk> Open<D> {
    fn at<F: Files<File = D>>(files: &F, path: &Path) -> io::Result<Self> {
        let file = files.open(path)?;
        file.announce();
        let end = file.size()?;
        Ok(Self {
            torn: end > 0 && !files.ends_in_newline(path),
            file,
            end,
            recent: Recent::default(),
        })
    }

    fn is_truncated(&self) -> bool {
        self.file.size().is_ok_and(|size| size < self.end)
    }

    /// Appends what fits of `lines`, behind those that a truncation may have taken.
    fn put(&mut self, lines: &[Line], limit: u64) -> io::Result<usize> {
        // Again each time: another writer may have been mending when we first said so.
        self.file.announce();
        let again = if self.is_truncated() {
            self.torn &= self.file.size()? > 0;
            self.recent.lines(Instant::now())
        } else {
            Vec::new()
        };
        let limit = if again.is_empty() { limit } else { 0 };
        let all = again.iter().chain(lines).map(|line| &line[..]);
        let written = append_all(&mut self.file, all, limit, &mut self.torn)?;
        let Some(durable) = written.checked_sub(again.len()) else {
            // All of them once more, before anything else.
            self.end = u64::MAX;
            return Ok(0);
        };
        self.end = self.file.size().unwrap_or(0);
        self.recent
            .add(&lines[..durable.min(lines.len())], Instant::now());
        Ok(durable)
    }
}
