//! The file's life: made and locked at a start, found by the next one, told, kept for a while.
//!
//! | name | what it is |
//! |---|---|
//! | `PATH` | of the process that runs, locked by it; or of one that is dead, until the next start |
//! | `PATH.new` | being made; whoever has it locked is the only one to start |
//! | `PATH.untold.N` | of a dead process, whose requests are not in the log yet |
//! | `PATH.1` to `PATH.4` | told, the youngest first |
//! | `PATH.unreadable.N` | something else that had the name |
//!
//! A new file gets its name when it is whole, so that a start that is killed leaves nothing half done: what was not told is
//! found again.

use super::header;
use super::sync::Syncer;
use super::{Gate, Recorder};
use crate::config::{Error, FlightRecorder};
use crate::engine::nanos;
use crate::redact::Redactor;
use crate::registry::Records;
use redhanded_report::Service;
use redhanded_report::recorder::layout::file_bytes;
use redhanded_report::recorder::{self, Recording};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files that were told and are kept.
const KEPT: u32 = 4;
/// Files that wait to be told; with more of them, the log has not been writable for so many deaths.
const UNTOLD: u32 = 8;
/// Files that were no flight recorder's and are kept.
const UNREADABLE: u32 = 4;
/// Somebody who reads the file holds its lock for a moment; a process holds it as long as it lives.
const PATIENCE: Duration = Duration::from_millis(300);
/// As long as a file that a start makes may lose its name to another start.
const STARTS: u32 = 20;

/// What a start has found and made.
pub(crate) struct Opened {
    pub(crate) recorder: Recorder,
    /// Files of dead processes, the oldest first, and how many requests each has.
    pub(crate) untold: Vec<Untold>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// A file of a dead process whose requests are not in the log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    /// Of the recorder, whose name it had.
    of: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) died: usize,
}

impl Untold {
    /// Reads it.
    pub(crate) fn read(&self) -> Result<Recording, String> {
        read(&self.path).map_err(|(_, why)| why)
    }
}

/// Makes the recorder's file, and finds what a dead process has left in its place.
///
/// # Errors
///
/// A path that cannot be written, a disk without room, another process that has it; each names the path.
pub(crate) fn open(
    asked: &FlightRecorder,
    service: &Service,
    redactor: Redactor,
) -> Result<Opened, Error> {
    let path = std::path::absolute(&asked.path).unwrap_or_else(|_| asked.path.clone());
    let failed =
        |what: &str, error: io::Error| Error::io(format!("{} {what}", asked.said()), error);
    if path.file_name().is_none() || is_no_file(&path) {
        // A pipe or a device would be waited for; a link leads where others put it.
        let what = "is no regular file; give a path in a writable directory, such as /run/app/requests.rh, or off";
        return Err(failed(what, ErrorKind::InvalidInput.into()));
    }
    let mut notes = Vec::new();
    let file = start(&path, asked)?;
    let given_up = |error| {
        // Nobody else may think that somebody starts, or find a file that is not whole.
        let _ = fs::remove_file(beside(&path, "new"));
        error
    };
    take_over(&path, asked, &mut notes).map_err(given_up)?;
    let bytes = file_bytes(asked.records);
    let room = "cannot be made: there must be room for all of it, so that the disk cannot fill up under it";
    allocate(&file, bytes as u64)
        .map_err(|e| given_up(failed(&format!("({bytes} bytes) {room}"), e)))?;
    let words = redhanded_capture::map_words(&file, bytes / 8);
    let words = words.map_err(|e| given_up(failed("cannot be mapped into memory", e)))?;
    let records = Records::new(words)
        .ok_or_else(|| given_up(failed("is too short", ErrorKind::InvalidData.into())))?;
    header::write(records.header(), service, asked.records);
    fs::rename(beside(&path, "new"), &path)
        .map_err(|e| given_up(failed("cannot be put in its place", e)))?;
    keep_writers_away(&file);
    let syncer = asked.sync_every.map(|every| Syncer::new(nanos(every)));
    if let (Some(_), Some(directory)) = (&syncer, path.parent()) {
        // A name that is not on disk is no use after a power cut; what can be done is done.
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    let untold = untold(&path, &mut notes);
    let recorder = Recorder {
        // Never freed: slots refer to it, and they outlive everything.
        records: Box::leak(Box::new(records)),
        gate: Gate::new(redactor),
        path,
        file,
        syncer,
    };
    Ok(Opened {
        recorder,
        untold,
        notes,
    })
}

/// Who truncates a file that is mapped kills its process. Nobody has a reason to write to this one: with the right to it taken from
/// everybody but root, a slip of the hand is refused. What is open stays open.
fn keep_writers_away(file: &File) {
    // Where there is no such right, all is as it was.
    let _ = file.set_permissions(Permissions::from_mode(0o400));
}

/// `PATH.end`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

fn is_no_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// The new file, empty and locked: nobody else starts on this path meanwhile.
fn start(path: &Path, asked: &FlightRecorder) -> Result<File, Error> {
    let new = beside(path, "new");
    let failed = |error| {
        let what = "cannot be created; give a file in a writable directory, such as /run/app/requests.rh, or off";
        Error::io(format!("{} {what}", asked.said()), error)
    };
    // Refused by the kernel if it is a link: in a directory that others may write to, it would be theirs.
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    for _ in 0..STARTS {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(&new);
        let file = opened.map_err(failed)?;
        if !locked(&file).map_err(failed)? {
            let what = "is being made by another process, which is just starting; give each process a path of its own";
            return Err(failed_by_other(asked, what));
        }
        // Another start may have finished in between: then it is that one's file that we have.
        let is_ours =
            |found: fs::Metadata| file.metadata().is_ok_and(|open| open.ino() == found.ino());
        if fs::metadata(&new).is_ok_and(is_ours) {
            file.set_len(0).map_err(failed)?;
            return Ok(file);
        }
    }
    Err(failed(ErrorKind::ResourceBusy.into()))
}

fn failed_by_other(asked: &FlightRecorder, what: &str) -> Error {
    Error::io(
        format!("{} {what}", asked.said()),
        ErrorKind::ResourceBusy.into(),
    )
}

/// Locks a file; `false` if somebody else keeps it locked. A file system without locks is an error.
fn locked(file: &File) -> io::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Moves what has the name out of the way: to be told, or kept aside if it cannot be read. An error if it is that of a
/// process that runs.
fn take_over(path: &Path, asked: &FlightRecorder, notes: &mut Vec<String>) -> Result<(), Error> {
    let failed = |error| {
        let what = "cannot be looked at: something has its name";
        Error::io(format!("{} {what}", asked.said()), error)
    };
    if let Err(error) = fs::symlink_metadata(path) {
        let is_new = error.kind() == ErrorKind::NotFound;
        return if is_new { Ok(()) } else { Err(failed(error)) };
    }
    let mut for_writing = OpenOptions::new();
    let opened = for_writing.read(true).write(true).open(path);
    // It lets only root write to it; some network file systems lock only what can be written to.
    let old = opened.or_else(|_| File::open(path)).map_err(failed)?;
    if !locked(&old).map_err(failed)? {
        return Err(failed_by_other(asked, &owner(path)));
    }
    match read(path) {
        Ok(recording) if recording.requests.is_empty() && recording.torn == 0 => Ok(()),
        // Made and not written to, or by a `touch`.
        Err((0, _)) => Ok(()),
        Ok(_) => set_aside(path, "untold", u32::MAX)
            .map(drop)
            .map_err(failed),
        Err((_, why)) => {
            let kept = set_aside(path, "unreadable", UNREADABLE).map_err(failed)?;
            notes.push(format!(
                "what was at {} is kept as {}: {why}",
                path.display(),
                kept.display()
            ));
            Ok(())
        }
    }
}

/// Whose file it is that somebody has locked.
fn owner(path: &Path) -> String {
    let pid = read(path)
        .ok()
        .and_then(|recording| recording.header.service.pid);
    let whose = match pid {
        Some(pid) if pid == std::process::id() => {
            format!("is that of another install in this process ({pid})")
        }
        Some(pid) => format!("is that of process {pid}, which runs"),
        None => "is that of another process, which runs".to_owned(),
    };
    whose + "; give each a path of its own"
}

/// Whole content; an error has the length that there was.
fn read(path: &Path) -> Result<Recording, (u64, String)> {
    let longest = file_bytes(recorder::layout::MOST_RECORDS) as u64;
    let length = fs::metadata(path).map_err(|e| (1, e.to_string()))?.len();
    if length > longest {
        return Err((
            length,
            format!(
                "no flight recorder of redhanded: {length} bytes, and none has more than {longest}"
            ),
        ));
    }
    let bytes = fs::read(path).map_err(|e| (length, e.to_string()))?;
    recorder::read(&bytes).map_err(|e| (length, e.to_string()))
}

/// Renames to `PATH.kind.N` with the number after the highest there is; of these `most` are kept, the youngest.
fn set_aside(path: &Path, kind: &str, most: u32) -> io::Result<PathBuf> {
    let mut numbers = numbers(path, kind);
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let to = beside(path, &format!("{kind}.{next}"));
    fs::rename(path, &to)?;
    numbers.push(next);
    let too_many = numbers.len().saturating_sub(most as usize);
    for number in numbers.into_iter().take(too_many) {
        // What cannot be removed is found again.
        let _ = fs::remove_file(beside(path, &format!("{kind}.{number}")));
    }
    Ok(to)
}

/// The numbers of `PATH.kind.N`, in order.
fn numbers(path: &Path, kind: &str) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let begin = format!("{name}.{kind}.");
    let entries = path
        .parent()
        .and_then(|directory| fs::read_dir(directory).ok());
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix(&begin)?.parse().ok();
    let mut numbers: Vec<u32> = names.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// What waits to be told, the oldest first.
fn untold(path: &Path, notes: &mut Vec<String>) -> Vec<Untold> {
    let mut numbers = numbers(path, "untold");
    let too_many = numbers.len().saturating_sub(UNTOLD as usize);
    for number in numbers.drain(..too_many) {
        let old = beside(path, &format!("untold.{number}"));
        notes.push(format!(
            "{} was never told, because the log could not be written for {UNTOLD} starts; it is kept as {} until others push it out",
            old.display(),
            beside(path, "1").display()
        ));
        rotate(path, &old);
    }
    let mut one = |number| {
        let untold = beside(path, &format!("untold.{number}"));
        match read(&untold) {
            Ok(recording) => Some(Untold {
                of: path.to_owned(),
                path: untold,
                died: recording.requests.len(),
            }),
            Err((_, why)) => {
                notes.push(format!("{} cannot be told: {why}", untold.display()));
                keep_aside(path, &untold);
                None
            }
        }
    };
    numbers.into_iter().filter_map(&mut one).collect()
}

/// Another name for what was to be told and is damaged by now.
fn keep_aside(path: &Path, damaged: &Path) {
    let next = numbers(path, "unreadable")
        .last()
        .map_or(1, |last| last.saturating_add(1));
    // What keeps its name is found and said again.
    let _ = fs::rename(damaged, beside(path, &format!("unreadable.{next}")));
}

/// All that the file tells is in the log: it is kept as `PATH.1`.
pub(crate) fn rotate_told(told: &Untold) {
    rotate(&told.of, &told.path);
}

/// A name that cannot be changed is found at the next start, which tells the same again, with the same ids.
fn rotate(path: &Path, told: &Path) {
    for number in (1..KEPT).rev() {
        let _ = fs::rename(
            beside(path, &number.to_string()),
            beside(path, &(number + 1).to_string()),
        );
    }
    let _ = fs::rename(told, beside(path, "1"));
}

/// Takes all of the space now: a disk that is full says so here, and not by a signal later.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // A file system that cannot promise it has to do it.
    let zeros = [0; 1 << 16];
    let mut left = bytes;
    let mut to = file;
    while left > 0 {
        let some = left.min(zeros.len() as u64) as usize;
        to.write_all(zeros.get(..some).unwrap_or_default())?;
        left -= some as u64;
    }
    file.sync_all()
}
