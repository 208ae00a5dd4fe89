//! What is to be sent, in order: the older part on disk if there is a spool, the younger in memory.

use crate::spool::{Found, Inventory, Spool};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::ErrorKind;

/// One OTLP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// An `ExportTraceServiceRequest`.
    pub(crate) body: Bytes,
    pub(crate) reports: u32,
    pub(crate) spans: u32,
}

/// What may be in memory, and in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: usize,
    pub(crate) parcel_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 4 << 20,
            parcel_bytes: 1 << 20,
        }
    }
}

/// What goes out at once.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) body: Bytes,
    /// Whether something is left behind it.
    pub(crate) more: bool,
}

/// What became of reports, since somebody asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Of this process: done with, however.
    pub(crate) finished: u64,
    /// Of those, and of spans in them, what did not arrive.
    pub(crate) failed: u64,
    /// Lost for good, those of earlier processes too.
    pub(crate) lost: u64,
}

struct Entry {
    place: Place,
    /// Of the body.
    bytes: usize,
    /// Unknown of a file that another process left, until it is read.
    reports: Option<u32>,
    spans: u32,
    /// Whether it was accepted by this process.
    own: bool,
}

enum Place {
    Memory(Bytes),
    Disk { number: u64, weight: u64 },
}

pub(crate) struct Outbox {
    limits: Limits,
    spool: Option<Spool>,
    /// Those on disk come first.
    entries: VecDeque<Entry>,
    on_disk: usize,
    memory_bytes: usize,
    disk_bytes: u64,
    /// How many are on their way.
    sending: usize,
    /// How many go by themselves: one of them was refused.
    alone: usize,
    tally: Tally,
}

impl Outbox {
    pub(crate) fn new(limits: Limits, spool: Option<Spool>) -> Self {
        let mut outbox = Self {
            limits,
            spool,
            entries: VecDeque::new(),
            on_disk: 0,
            memory_bytes: 0,
            disk_bytes: 0,
            sending: 0,
            alone: 0,
            tally: Tally::default(),
        };
        if let Some(left) = outbox.spool.as_mut().map(Spool::left) {
            outbox.found(&left);
        }
        outbox.adopt();
        outbox
    }

    /// Takes over what dead processes left; not while something is on its way.
    pub(crate) fn adopt(&mut self) {
        if self.sending == 0
            && let Some(adopted) = self.spool.as_mut().map(Spool::adopt)
        {
            self.found(&adopted);
        }
    }

    fn found(&mut self, inventory: &Inventory) {
        // How many reports were in it is gone with it.
        self.tally.lost += inventory.torn;
        for Found { number, bytes } in &inventory.files {
            let entry = Entry {
                place: Place::Disk {
                    number: *number,
                    weight: *bytes,
                },
                bytes: usize::try_from(*bytes).unwrap_or(usize::MAX),
                reports: None,
                spans: 0,
                own: false,
            };
            self.entries.insert(self.on_disk, entry);
            self.on_disk += 1;
            self.disk_bytes += bytes;
        }
        self.make_room_on_disk(0);
    }

    /// Keeps a request, in memory for now. The oldest there make room for it, but for what is on its way.
    pub(crate) fn add(&mut self, request: Request) {
        let bytes = request.body.len();
        let oldest = self.on_disk.max(self.sending);
        while self.memory_bytes + bytes > self.limits.memory_bytes && self.entries.len() > oldest {
            self.lose(oldest);
        }
        self.memory_bytes += bytes;
        self.entries.push_back(Entry {
            bytes,
            reports: Some(request.reports),
            spans: request.spans,
            own: true,
            place: Place::Memory(request.body),
        });
    }

    /// Brings to disk what is in memory, as far as there is a disk and it takes it.
    pub(crate) fn persist(&mut self) {
        while self.in_memory() > 0 {
            let Some(entry) = self.entries.get(self.on_disk) else {
                return;
            };
            let weight = Spool::weight(entry.bytes);
            if self.spool.as_ref().is_none_or(|it| weight > it.limit()) {
                return;
            }
            if !self.make_room_on_disk(weight) {
                return;
            }
            let (Some(spool), Some(entry)) = (&mut self.spool, self.entries.get_mut(self.on_disk))
            else {
                return;
            };
            let Place::Memory(body) = &entry.place else {
                return;
            };
            let request = Request {
                body: body.clone(),
                reports: entry.reports.unwrap_or(0),
                spans: entry.spans,
            };
            // A disk that refuses is asked again with the next one.
            let Ok(number) = spool.write(&request) else {
                return;
            };
            entry.place = Place::Disk { number, weight };
            self.memory_bytes -= entry.bytes;
            self.disk_bytes += weight;
            self.on_disk += 1;
        }
    }

    /// The next request: the oldest entries, as many as fit into one. Requests put one behind the other are one.
    ///
    /// `None` when there is nothing, or nothing that can be read now.
    pub(crate) fn take(&mut self) -> Option<Parcel> {
        self.sending = 0;
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while let Some(entry) = self.entries.get(self.sending) {
            let over = bytes + entry.bytes > self.limits.parcel_bytes || self.alone > 0;
            if over && self.sending > 0 {
                break;
            }
            let body = match &entry.place {
                Place::Memory(body) => body.clone(),
                Place::Disk { number, .. } => {
                    match self.spool.as_ref()?.read(*number) {
                        Ok(request) => {
                            let entry = self.entries.get_mut(self.sending)?;
                            (entry.reports, entry.spans) = (Some(request.reports), request.spans);
                            request.body
                        }
                        Err(e)
                            if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::NotFound) =>
                        {
                            self.lose(self.sending);
                            continue;
                        }
                        // The process may have no file descriptors left, for a while.
                        Err(_) => break,
                    }
                }
            };
            bytes += body.len();
            parts.push(body);
            self.sending += 1;
        }
        let more = self.entries.len() > self.sending;
        Some(Parcel {
            body: joined(parts, bytes)?,
            more,
        })
    }

    /// The collector took what was on its way, but for so many spans.
    pub(crate) fn delivered(&mut self, rejected: u64) {
        let mut spans = 0;
        for _ in 0..std::mem::take(&mut self.sending) {
            self.alone = self.alone.saturating_sub(1);
            if let Some(entry) = self.remove(0) {
                spans += u64::from(entry.spans);
                self.tally.finished += entry.own_reports();
            }
        }
        // What a collector says is not to be believed beyond reason.
        let rejected = rejected.min(spans);
        self.tally.failed += rejected;
        self.tally.lost += rejected;
    }

    /// The collector will never take what was on its way. If it was several, each is asked about by itself.
    pub(crate) fn refused(&mut self) {
        match std::mem::take(&mut self.sending) {
            0 => {}
            1 => {
                self.alone = self.alone.saturating_sub(1);
                self.lose(0);
            }
            several => self.alone = several,
        }
    }

    /// What was on its way has no answer; it stays.
    pub(crate) fn unanswered(&mut self) {
        self.sending = 0;
    }

    /// The end of the process: what is not on disk is lost.
    pub(crate) fn close(&mut self) {
        self.sending = 0;
        self.persist();
        while self.in_memory() > 0 {
            self.lose(self.on_disk);
        }
        for entry in self.entries.drain(..) {
            // It goes out with the next process.
            self.tally.finished += entry.own_reports();
            self.tally.failed += entry.own_reports();
        }
        (self.on_disk, self.disk_bytes) = (0, 0);
        // The next one in this process finds its place free.
        self.spool = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn requests(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// What became of reports since the last time.
    pub(crate) fn tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn in_memory(&self) -> usize {
        self.entries.len() - self.on_disk
    }

    /// The oldest make room, but for what is on its way; whether there is room then.
    fn make_room_on_disk(&mut self, weight: u64) -> bool {
        let limit = self.spool.as_ref().map_or(0, Spool::limit);
        while self.disk_bytes + weight > limit && self.on_disk > self.sending {
            self.lose(self.sending);
        }
        self.disk_bytes + weight <= limit
    }

    fn lose(&mut self, at: usize) {
        let reports = self.reports(at);
        if let Some(entry) = self.remove(at) {
            self.tally.finished += entry.own_reports();
            self.tally.failed += entry.own_reports();
            self.tally.lost += reports;
        }
    }

    /// Of an entry; one that cannot be read was one at least.
    fn reports(&self, at: usize) -> u64 {
        let Some(entry) = self.entries.get(at) else {
            return 0;
        };
        let read = || match (&entry.place, &self.spool) {
            (Place::Disk { number, .. }, Some(spool)) => spool.reports(*number),
            _ => None,
        };
        u64::from(entry.reports.or_else(read).unwrap_or(1))
    }

    fn remove(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entries.remove(at)?;
        match &entry.place {
            Place::Memory(_) => self.memory_bytes -= entry.bytes,
            Place::Disk { number, weight } => {
                self.on_disk -= 1;
                self.disk_bytes -= weight;
                if let Some(spool) = &self.spool {
                    spool.remove(*number);
                }
            }
        }
        Some(entry)
    }
}

impl Entry {
    /// Reports that somebody in this process may wait for.
    fn own_reports(&self) -> u64 {
        if self.own {
            u64::from(self.reports.unwrap_or(0))
        } else {
            0
        }
    }
}

fn joined(mut parts: Vec<Bytes>, bytes: usize) -> Option<Bytes> {
    if parts.len() < 2 {
        return parts.pop();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Some(whole.freeze())
}
