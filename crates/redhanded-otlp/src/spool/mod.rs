//! Requests that wait on disk while the collector is away, for this process or the next.

mod record;
mod slot;

use crate::error::Error;
use crate::outbox::Request;
use record::{HEADER, Header};
use slot::Slot;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Default of [`Spool::max_bytes`].
const MAX_BYTES: u64 = 64 << 20;
/// What a file takes at least, and a multiple of which it takes.
const BLOCK: u64 = 4096;

/// A directory for reports that cannot be delivered now.
///
/// While the collector is away each batch becomes a file: one OTLP request, with its length and a checksum before it,
/// mode 0600. They go out in order when the collector is back; what is left when the process ends, also when it is
/// killed, goes out with the next process that opens the directory. It may be shared: each process takes a numbered
/// directory of its own below, locked as long as it lives, and adopts those that nobody has any more.
///
/// It takes [`max_bytes`](Spool::max_bytes) at most; the oldest reports make room, and are counted as lost.
///
/// ```
/// use redhanded_otlp::Spool;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("spool");
/// let spool = Spool::open(&directory)?.max_bytes(16 << 20);
/// # drop(spool);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Spool {
    root: PathBuf,
    slot: Slot,
    max_bytes: u64,
    /// The number of the next file.
    next: u64,
    /// What an earlier process left in this place.
    left: Inventory,
}

/// A file that lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

/// What lies in a slot.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) files: Vec<Found>,
    /// Files of a process that was killed while it wrote them.
    pub(crate) torn: u64,
}

impl Spool {
    /// Opens the directory, or makes it with mode 0700, and takes a place in it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or written, when files cannot be locked there, and when 64 processes have a
    /// place in it already.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let root = directory.as_ref().to_owned();
        let wrong = |error: io::Error| {
            let shown = root.display();
            Error::spool(format!(
                "spool {shown}: {error}; accepted is a directory that can be made, written and locked"
            ))
        };
        let slot = Slot::take(&root).map_err(wrong)?;
        let left = slot.files().map_err(wrong)?;
        Ok(Self {
            slot,
            max_bytes: MAX_BYTES,
            next: left.files.last().map_or(1, |last| last.number + 1),
            left,
            root,
        })
    }

    /// How many bytes of disk this process may take there. Default: 64 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    pub(crate) fn limit(&self) -> u64 {
        self.max_bytes
    }

    /// What an earlier process left in this place.
    pub(crate) fn left(&mut self) -> Inventory {
        std::mem::take(&mut self.left)
    }

    /// Takes over what processes left that are gone.
    pub(crate) fn adopt(&mut self) -> Inventory {
        let mut adopted = Inventory::default();
        for other in self.slot.abandoned(&self.root) {
            let Ok(left) = other.files() else { continue };
            adopted.torn += left.torn;
            for file in left.files {
                let moved = fs::rename(other.file(file.number), self.slot.file(self.next));
                if moved.is_err() {
                    break;
                }
                let number = self.next;
                self.next += 1;
                adopted.files.push(Found { number, ..file });
            }
        }
        adopted
    }

    /// How much disk a request takes.
    pub(crate) fn weight(body: usize) -> u64 {
        (body as u64 + HEADER as u64).next_multiple_of(BLOCK)
    }

    /// Writes a request; its file's number.
    pub(crate) fn write(&mut self, request: &Request) -> io::Result<u64> {
        let number = self.next;
        let part = self.slot.part(number);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        let written = file
            .write_all(&Header::of(request).encode())
            .and_then(|()| file.write_all(&request.body))
            // Its name may be lost with the power, its bytes not be another's.
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(&part, self.slot.file(number)));
        if let Err(error) = written {
            // A full disk is no fuller for it.
            drop(fs::remove_file(&part));
            return Err(error);
        }
        self.next += 1;
        Ok(number)
    }

    /// Reads a request. `InvalidData` or `NotFound`: nobody will ever read it.
    pub(crate) fn read(&self, number: u64) -> io::Result<Request> {
        let mut file = File::open(self.slot.file(number))?;
        let header = header(&mut file)?;
        let mut body = Vec::new();
        // A length that was torn must not be believed: one byte more than it says is enough to know.
        file.take(header.length.saturating_add(1))
            .read_to_end(&mut body)?;
        header.request(body)
    }

    /// How many reports a file has, as far as can be read.
    pub(crate) fn reports(&self, number: u64) -> Option<u32> {
        let mut file = File::open(self.slot.file(number)).ok()?;
        header(&mut file).ok().map(|header| header.reports)
    }

    /// Removes a file that is done with.
    pub(crate) fn remove(&self, number: u64) {
        // One that stays is sent again by the next process: twice is better than never.
        drop(fs::remove_file(self.slot.file(number)));
    }
}

fn header(file: &mut File) -> io::Result<Header> {
    let mut bytes = [0; HEADER];
    match file.read_exact(&mut bytes) {
        Ok(()) => Header::decode(&bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(record::torn()),
        Err(error) => Err(error),
    }
}
