//! Files by their names, and the directory that has them.

use super::disk::Disk;
use super::sys;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What the log needs of a file system; a test's double is cut off from its power.
pub(super) trait Files {
    type File: Disk;

    /// Opens a regular file for appending and creates it if need be; its name is durable then.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Whether the file ends in a newline; one that cannot be read does not, for an empty line harms
    /// no reader.
    fn ends_in_newline(&self, path: &Path) -> bool;

    /// Whether `path` leads to `file`.
    fn leads_to(&self, path: &Path, file: &Self::File) -> io::Result<bool>;

    /// Where a symbolic link leads.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;

    fn exists(&self, path: &Path) -> bool;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes created, renamed and removed names durable, where the platform and the rights allow it.
    fn sync_directory_of(&self, path: &Path);

    /// Does `work` unless another writer works in the directory of `path` in this way.
    fn alone_in_directory_of(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()>;
}

/// The files of this machine.
#[derive(Debug)]
pub(super) struct Real;

impl Files for Real {
    type File = File;

    fn open(&self, path: &Path) -> io::Result<File> {
        // Looked at first, because opening a FIFO would wait for its reader.
        if let Ok(found) = fs::metadata(path) {
            check(&found)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        sys::private(&mut options);
        let file = options.open(path)?;
        check(&file.metadata()?)?;
        // Also of a file that was there: whoever created it may have been killed before this.
        self.sync_directory_of(path);
        Ok(file)
    }

    fn ends_in_newline(&self, path: &Path) -> bool {
        let last_byte = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::End(-1))?;
            let mut byte = [0];
            file.read_exact(&mut byte)?;
            io::Result::Ok(byte[0])
        };
        last_byte().is_ok_and(|byte| byte == b'\n')
    }

    fn leads_to(&self, path: &Path, file: &File) -> io::Result<bool> {
        Ok(sys::same_file(file, &fs::metadata(path)?))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn exists(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory_of(&self, path: &Path) {
        // Some file systems refuse to sync a directory and keep names safe by themselves; a directory
        // without read permission cannot be synced by anybody. The records are synced either way.
        let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
    }

    fn alone_in_directory_of(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        // Held until the end of the function; a directory that cannot be locked is taken to be ours.
        let directory = File::open(directory_of(path));
        if let Ok(directory) = &directory
            && let Err(TryLockError::WouldBlock) = directory.try_lock()
        {
            return Ok(());
        }
        work()
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

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
