//! What is asked of a flight recorder.

use super::Error;
use std::path::PathBuf;
use std::time::Duration;

/// Names the flight recorder's file, or switches it off.
pub(super) const NAME: &str = "REDHANDED_FLIGHT_RECORDER";

/// A file with a record for each request in flight, which outlives the process.
///
/// Whatever kills the process, what the file says stays: it is in the kernel's memory from the moment it is stored. A
/// power cut or a crash of the machine leaves only what was written to the disk by then:
/// [`sync_every`](Self::sync_every).
///
/// **Nobody may make the file of a running process shorter**: the next request would be a bus error, which ends the process. That
/// goes for `truncate`, `> FILE` and a log rotation that copies and truncates; to remove or rename it is harmless. The file is
/// readable to its owner only and writable to nobody but root (mode 0400), so that a slip is refused; a process that runs as root has
/// no such protection, and should keep the file in a directory that nobody else tends.
///
/// On a file system in memory (`/run`, `/dev/shm`) a disk that hangs or fills up can hold up
/// nobody; on a disk the kernel may let a request wait while it writes its page back, as it does with any mapped file.
///
/// ```
/// use redhanded_core::FlightRecorder;
/// use std::time::Duration;
/// let recorder = FlightRecorder::new("/run/app/requests.rh")
///     .records(10_000)
///     .sync_every(Duration::from_secs(5));
/// # let _ = recorder;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRecorder {
    pub(crate) path: PathBuf,
    pub(crate) records: usize,
    pub(crate) sync_every: Option<Duration>,
    /// What named the path, if it was not code.
    pub(crate) variable: Option<&'static str>,
}

impl FlightRecorder {
    /// How many requests in flight have a record when nobody says otherwise.
    pub const RECORDS: usize = 4096;

    /// At `path`, in a directory that exists. Each process needs a path of its own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            records: Self::RECORDS,
            sync_every: None,
            variable: None,
        }
    }

    /// How many requests in flight have a record, of 2 KiB each, all of which is allocated at the start. Default:
    /// 4,096. From one to 1,048,576. Requests beyond that run unrecorded, and are counted.
    #[must_use]
    pub fn records(mut self, records: usize) -> Self {
        self.records = records;
        self
    }

    /// Writes it to the disk so often while requests are in flight, and when the last one has ended, on a thread of its own: for
    /// a power cut or a crash of the machine. Default: never. No shorter than 10 ms.
    ///
    /// What survives then: the file under its name, with every request that was in flight when the last sync began and was
    /// recorded by then, as it was recorded; `redhanded postmortem` says when that was. What began or ended since is as the kernel
    /// happened to have written it, page by page: a record of two ages is recognised by its checksum, skipped and counted, and a
    /// request that ended since may be told as in flight. Without syncs all of the file is such. It takes a disk that keeps what
    /// it has acknowledged; in a directory in memory nothing survives.
    #[must_use]
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.sync_every = Some(interval);
        self
    }

    /// What was asked for, in the words of whoever did.
    pub(crate) fn said(&self) -> String {
        match self.variable {
            Some(variable) => format!("{variable}={:?}: the flight recorder's file", self.path),
            None => format!("the flight recorder's file {:?}", self.path),
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let most = redhanded_report::recorder::layout::MOST_RECORDS;
        if self.records == 0 || self.records > most {
            return Err(Error::config(format!(
                "FlightRecorder::records({}) is not accepted; give a number from 1 to {most}",
                self.records
            )));
        }
        match self.sync_every {
            Some(every) if every < Duration::from_millis(10) => Err(Error::config(format!(
                "FlightRecorder::sync_every({every:?}) is not accepted; give 10 ms or more"
            ))),
            _ => Ok(()),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for FlightRecorder {
    fn from(path: P) -> Self {
        Self::new(path)
    }
}

/// The path changes, and whatever else code has said stays.
pub(super) fn from_env(
    value: &str,
    said: Option<FlightRecorder>,
) -> Result<Option<FlightRecorder>, Error> {
    if matches!(value, "" | "off") {
        return Ok(None);
    }
    if value.contains('\u{fffd}') || value.ends_with('/') {
        return Err(Error::config(format!(
            "{NAME}={value:?} is not accepted; give the path of a file in UTF-8, such as /run/app/requests.rh, or off"
        )));
    }
    let mut recorder = said.unwrap_or_else(|| FlightRecorder::new(value));
    recorder.path = value.into();
    recorder.variable = Some(NAME);
    Ok(Some(recorder))
}
