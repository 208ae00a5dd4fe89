//! What only Unix knows of files.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

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
