//! A sync now and then, for those who want something of the recorder to survive a power cut.

use super::header;
use redhanded_capture::monotonic_ns;
use redhanded_report::recorder::layout::HEADER_WORDS;
use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

/// A thread of its own, because a disk may take its time; it sleeps until the watchdog asks.
#[derive(Debug)]
pub(super) struct Syncer {
    every_ns: u64,
    asked: AtomicBool,
    last_ns: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Syncer {
    pub(super) fn new(every_ns: u64) -> Self {
        Self {
            every_ns,
            asked: AtomicBool::new(false),
            last_ns: AtomicU64::new(0),
            thread: OnceLock::new(),
        }
    }

    /// Asks for a sync, if the last one was asked for long enough ago.
    pub(super) fn ask_if_due(&self, now_ns: u64) {
        if now_ns.saturating_sub(self.last_ns.load(Ordering::Relaxed)) >= self.every_ns {
            self.last_ns.store(now_ns, Ordering::Relaxed);
            self.ask();
        }
    }

    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Runs as long as the process.
    pub(super) fn run(&self, file: &File, header: &[AtomicU64; HEADER_WORDS]) {
        let _ = self.thread.set(std::thread::current());
        loop {
            if !self.asked.swap(false, Ordering::Acquire) {
                std::thread::park();
                continue;
            }
            let begun_ns = monotonic_ns();
            // A disk that refuses is asked again the next time; the file says how old its last sync is.
            if file.sync_data().is_ok() {
                header::synced(header, begun_ns);
            }
        }
    }
}
