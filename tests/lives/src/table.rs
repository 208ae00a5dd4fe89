//! What was run, and how it ended.

use redhanded::Ends;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// How all requests of a batch are to end.
///
/// `Cancelled` is missing: it is for a policy of ours that drops requests, and there is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The answer went out.
    Completed,
    /// Something on our side dropped it.
    Dropped,
    /// The client closed its connection: proved by the socket where the listener is ours, else
    /// nobody can tell it from `Dropped`.
    Gone,
    /// The client gave up one HTTP/2 stream of a connection that lives on.
    Reset,
    /// Something on our side panicked.
    Panicked,
}

/// How many requests of a batch are to end how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    counts: [u64; 5],
}

impl Wanted {
    /// `count` requests that end so.
    pub fn of(end: End, count: u64) -> Self {
        Self::default().and(end, count)
    }

    /// And `count` more that end so.
    #[must_use]
    pub fn and(mut self, end: End, count: u64) -> Self {
        self.counts[end as usize] += count;
        self
    }

    fn count(&self, end: End) -> u64 {
        self.counts[end as usize]
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What an install should have counted; `proved` when the sockets are watched.
    pub(crate) fn ends(&self, proved: bool) -> [u64; 5] {
        let gone = self.count(End::Gone);
        let unproved = if proved { 0 } else { gone };
        let dropped = self.count(End::Dropped) + self.count(End::Reset) + unproved;
        [
            self.count(End::Completed),
            dropped,
            gone - unproved,
            0,
            self.count(End::Panicked),
        ]
    }
}

/// An install's own count, in the order of [`Wanted::ends`].
pub(crate) fn counted(ends: &Ends) -> [u64; 5] {
    [
        ends.completed,
        ends.dropped,
        ends.client_gone,
        ends.cancelled,
        ends.panicked,
    ]
}

/// Every batch of a run.
#[derive(Debug, Default)]
pub struct Table {
    rows: Mutex<BTreeMap<(String, End), u64>>,
    wrong: Mutex<Vec<String>>,
    leaked: Mutex<u64>,
}

impl Table {
    pub(crate) fn add(&self, kind: &str, wanted: &Wanted) {
        let mut rows = self.rows.lock().expect("no panic");
        for end in [
            End::Completed,
            End::Dropped,
            End::Gone,
            End::Reset,
            End::Panicked,
        ] {
            let count = wanted.count(end);
            if count > 0 {
                *rows.entry((kind.to_owned(), end)).or_default() += count;
            }
        }
    }

    pub(crate) fn wrong(&self, what: String) {
        self.wrong.lock().expect("no panic").push(what);
    }

    pub(crate) fn leaked(&self, slots: u64) {
        *self.leaked.lock().expect("no panic") += slots;
    }

    /// All requests so far.
    pub fn requests(&self) -> u64 {
        self.rows.lock().expect("no panic").values().sum()
    }

    /// What was not as it should be, one line for each batch.
    pub fn faults(&self) -> Vec<String> {
        self.wrong.lock().expect("no panic").clone()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows.lock().expect("no panic");
        for ((kind, end), count) in rows.iter() {
            writeln!(f, "{kind:36} {:10} {count:>8}", format!("{end:?}"))?;
        }
        drop(rows);
        let faults = self.faults();
        for fault in &faults {
            writeln!(f, "WRONG {fault}")?;
        }
        let leaked = self.leaked.lock().expect("no panic");
        let requests = thousands(self.requests());
        let wrong = faults.len();
        write!(f, "{requests} requests, {leaked} leaked, ")?;
        match wrong {
            0 => write!(f, "0 wrong ends"),
            _ => write!(f, "{wrong} batches with WRONG ENDS"),
        }
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
