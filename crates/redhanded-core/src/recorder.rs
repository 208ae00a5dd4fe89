//! The flight recorder: a file that is mapped into memory, with a record for each request in flight, so that a process
//! that was killed has told what it was doing.
//!
//! The hot path writes what was asked, once, without a lock or a system call ([`begin`](Recorder::begin)); the watchdog adds
//! where a request is and what was found ([`note`]); the format is that of [`redhanded_report::recorder`]. Nothing is stored
//! that has not been redacted: not even for the time of a write, because that is when a process may be killed.

mod begin;
#[cfg(unix)]
mod file;
#[cfg(not(unix))]
#[path = "recorder/file_nowhere.rs"]
mod file;
mod gate;
mod header;
pub(crate) mod note;
mod places;
mod sync;
mod walk;

pub(crate) use file::{Opened, Untold, open, rotate_told};

use crate::redact::Redactor;
use crate::registry::Records;
use gate::Gate;
use header::alive;
use std::fs::File;
use std::path::{Path, PathBuf};
use sync::Syncer;

/// The flight recorder of one install.
#[derive(Debug)]
pub(crate) struct Recorder {
    records: &'static Records,
    gate: Gate,
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    syncer: Option<Syncer>,
}

impl Recorder {
    /// The records, for slots.
    pub(crate) fn records(&self) -> &'static Records {
        self.records
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Requests that found no free record.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.records.unrecorded()
    }

    /// The watchdog is at work at `now_ns`; also asks for a sync, if it is time.
    pub(crate) fn alive(&self, now_ns: u64) {
        alive(self.records.header(), now_ns);
        if let Some(syncer) = &self.syncer {
            syncer.ask_if_due(now_ns);
        }
    }

    /// The watchdog is about to sleep until the next request.
    pub(crate) fn rests(&self) {
        if let Some(syncer) = &self.syncer {
            syncer.ask();
        }
    }

    /// The process is shut down: what is in flight from now on did not end in time. The file may be another's.
    pub(crate) fn shut_down(&self, now_ns: u64) {
        header::shut_down(self.records.header(), now_ns);
        self.rests();
        // Whoever comes next on this path finds a process that is over.
        let _ = self.file.unlock();
    }

    /// The thread that syncs, if it is to be done.
    pub(crate) fn sync_thread(&'static self) -> Option<impl FnOnce() + Send + 'static> {
        let syncer = self.syncer.as_ref()?;
        Some(move || syncer.run(&self.file, self.records.header()))
    }

    fn redactor(&self) -> &Redactor {
        self.gate.redactor()
    }
}

#[cfg(all(test, unix, not(redhanded_loom)))]
mod tests;
