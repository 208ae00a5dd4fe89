//! What to do where files have no Unix identity: less, and nothing wrong.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Nothing: the directory's rights decide.
pub(super) fn private(_options: &mut OpenOptions) {}

/// Taken to be the same: a file that is open cannot be renamed away by others here.
pub(super) fn same_file(_file: &File, _found: &Metadata) -> bool {
    true
}

/// Standard error.
pub(super) fn stderr() -> io::Result<Stderr> {
    Ok(Stderr)
}

/// Standard error as a [`Disk`](super::disk::Disk).
pub(super) struct Stderr;

impl super::disk::Disk for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn shorten(&mut self, _size: u64, _to: u64) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Locks are mandatory here and would keep readers out: none is taken.
pub(super) fn announce_writer(_file: &File) {}

/// Nobody is known to be alone.
pub(super) fn while_sole_writer(_file: &File, _work: impl FnOnce() -> bool) -> bool {
    false
}

/// Not known.
pub(super) fn mount_of(_directory: &Path) -> Option<PathBuf> {
    None
}

/// Taken to be one.
pub(super) fn is_mount(_directory: &Path) -> bool {
    true
}
