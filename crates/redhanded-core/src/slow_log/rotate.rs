//! `slow-requests.jsonl` becomes `.1`, `.1` becomes `.2`, …

use super::sys;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Moves the `full` file at `path` out of the way and keeps `keep` older ones.
///
/// Does nothing when another writer of the same log does it at this moment or has just done it:
/// two that rename at once would overwrite one another's files.
pub(super) fn rotate(path: &Path, full: &File, keep: u32) -> io::Result<()> {
    // Held until the end of the function; a directory that cannot be locked is taken to be ours.
    let directory = File::open(directory_of(path));
    if let Ok(directory) = &directory
        && let Err(TryLockError::WouldBlock) = directory.try_lock()
    {
        return Ok(());
    }
    if !sys::same_file(full, &fs::metadata(path)?) {
        return Ok(());
    }
    if keep == 0 {
        fs::remove_file(path)?;
    } else {
        shift(path, keep)?;
    }
    sync_directory_of(path);
    Ok(())
}

/// Only the files in front of the first gap move. So an attempt that failed half-way, and fails
/// again, does not push one old file after the other over the edge.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    let gap = (1..keep)
        .find(|number| !exists(&numbered(path, *number)))
        .unwrap_or(keep);
    for number in (1..gap).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))
}

/// Makes a created or renamed file's name durable, where the platform and the rights allow it.
pub(super) fn sync_directory_of(path: &Path) {
    // Some file systems refuse to sync a directory and keep names safe by themselves; a directory
    // without read permission cannot be synced by anybody. The records are synced either way.
    let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{numbered, rotate};
    use std::fs::{self, File};

    #[test]
    fn two_writers_do_not_rotate_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let full = File::create(&path).unwrap();
        let other = File::open(directory.path()).unwrap();
        other.lock().unwrap();
        rotate(&path, &full, 8).unwrap();
        assert!(path.exists(), "the other one is at it");
        other.unlock().unwrap();
        rotate(&path, &full, 8).unwrap();
        assert!(!path.exists());
        // The next one that had found the same file full comes too late.
        fs::write(&path, "new").unwrap();
        rotate(&path, &full, 8).unwrap();
        assert!(path.exists() && !numbered(&path, 2).exists());
    }
}
