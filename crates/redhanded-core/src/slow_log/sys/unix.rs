//! What only Unix knows of files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Readable and writable by its owner alone, if it is created.
pub(super) fn private(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Whether the open `file` is the one found by a path.
pub(super) fn same_file(file: &File, found: &Metadata) -> bool {
    file.metadata()
        .is_ok_and(|open| (open.dev(), open.ino()) == (found.dev(), found.ino()))
}

/// Standard error without the lock that `eprintln!` takes: a reader that does not read must not
/// make us stop the application's threads.
pub(super) fn stderr() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

/// Tells other writers by an advisory lock that they are not alone. Never waits for it.
pub(super) fn announce_writer(file: &File) {
    // A file system without locks costs us the neat repair of a torn line, nothing else.
    let _ = file.try_lock_shared();
}

/// Does `work` if no other writer has announced itself, and keeps new ones from thinking so meanwhile.
pub(super) fn while_sole_writer(file: &File, work: impl FnOnce() -> bool) -> bool {
    let done = file.try_lock().is_ok() && work();
    announce_writer(file);
    done
}

/// Where the file system that has `directory` is mounted; `None` for the root's.
pub(super) fn mount_of(directory: &Path) -> Option<PathBuf> {
    let at = directory.ancestors().find(|at| is_mount(at))?;
    at.parent().is_some().then(|| at.to_owned())
}

/// Whether a file system begins at `directory`. A bind mount of a part of the same one does not show.
pub(super) fn is_mount(directory: &Path) -> bool {
    let Some(parent) = directory.parent() else {
        return true;
    };
    match (fs::metadata(directory), fs::metadata(parent)) {
        (Ok(here), Ok(above)) => here.dev() != above.dev(),
        // Nothing there is no mount; what cannot be seen is taken to be unchanged.
        (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
        (Ok(_), Err(_)) => true,
    }
}
