//! `slow-requests.jsonl` becomes `.1`, `.1` becomes `.2`, …

use super::files::Files;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Moves the `full` file at `path` out of the way and keeps `keep` older ones.
///
/// Does nothing when another writer of the same log does it at this moment or has just done it:
/// two that rename at once would overwrite one another's files.
pub(super) fn rotate<F: Files>(
    files: &F,
    path: &Path,
    full: &F::File,
    keep: u32,
) -> io::Result<()> {
    files.alone_in_directory_of(path, || {
        if !files.leads_to(path, full)? {
            return Ok(());
        }
        if keep == 0 {
            files.remove(path)?;
        } else {
            shift(files, path, keep)?;
        }
        files.sync_directory_of(path);
        Ok(())
    })
}

/// Only the files in front of the first gap move. So an attempt that failed half-way, and fails
/// again, does not push one old file after the other over the edge.
fn shift(files: &impl Files, path: &Path, keep: u32) -> io::Result<()> {
    let gap = (1..keep)
        .find(|number| !files.exists(&numbered(path, *number)))
        .unwrap_or(keep);
    for number in (1..gap).rev() {
        files.rename(&numbered(path, number), &numbered(path, number + 1))?;
    }
    files.rename(path, &numbered(path, 1))
}

pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{numbered, rotate};
    use crate::slow_log::files::Real;
    use std::fs::{self, File};

    #[test]
    fn two_writers_do_not_rotate_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let full = File::create(&path).unwrap();
        let other = File::open(directory.path()).unwrap();
        other.lock().unwrap();
        rotate(&Real, &path, &full, 8).unwrap();
        assert!(path.exists(), "the other one is at it");
        other.unlock().unwrap();
        rotate(&Real, &path, &full, 8).unwrap();
        assert!(!path.exists());
        // The next one that had found the same file full comes too late.
        fs::write(&path, "new").unwrap();
        rotate(&Real, &path, &full, 8).unwrap();
        assert!(path.exists() && !numbered(&path, 2).exists());
    }
}
