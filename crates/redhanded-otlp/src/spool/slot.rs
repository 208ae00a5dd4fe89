//! One process's place in a spool: a directory and the lock in it.

use super::{Found, Inventory, Spool};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many processes may share a spool.
const SLOTS: usize = 64;

/// A directory that nobody else uses: the lock ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Slot {
    directory: PathBuf,
    /// Closed with the slot, which unlocks it.
    _lock: File,
}

impl Slot {
    /// The first one that nobody has.
    pub(crate) fn take(root: &Path) -> io::Result<Self> {
        for number in 0..SLOTS {
            let directory = root.join(number.to_string());
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)?;
            if let Some(slot) = Self::lock(directory)? {
                return Ok(slot);
            }
        }
        Err(io::Error::other(format!("{SLOTS} processes use it")))
    }

    /// All others that nobody has.
    pub(crate) fn abandoned(&self, root: &Path) -> impl Iterator<Item = Self> {
        let others = (0..SLOTS).map(|number| root.join(number.to_string()));
        others
            .filter(|directory| *directory != self.directory && directory.is_dir())
            .filter_map(|directory| Self::lock(directory).ok().flatten())
    }

    fn lock(directory: PathBuf) -> io::Result<Option<Self>> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                directory,
                _lock: lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The files in the order in which they were written. What was being written is removed: nobody finishes it.
    pub(crate) fn files(&self) -> io::Result<Inventory> {
        let mut inventory = Inventory::default();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((number, kind)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            match kind {
                "otlp" => inventory.files.push(Found {
                    number,
                    bytes: Spool::weight(usize::try_from(entry.metadata()?.len()).unwrap_or(0)),
                }),
                "part" if fs::remove_file(entry.path()).is_ok() => inventory.torn += 1,
                _ => {}
            }
        }
        inventory.files.sort_unstable_by_key(|file| file.number);
        Ok(inventory)
    }

    pub(crate) fn file(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.otlp"))
    }

    /// Its name while it is written.
    pub(crate) fn part(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.part"))
    }
}
