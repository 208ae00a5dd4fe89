//! What is known of one host, over all calls to it.

use super::counted::{Counted, Spread};
use super::failure::FAILURES;
use super::phase::PHASES;
use super::{Authority, CallPhase, CallState, Failure};
use crate::redact::printable;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use redhanded_capture::monotonic_ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Open calls that are known one by one.
const OPEN: usize = 256;
/// Percentiles are right to one significant digit, which keeps a phase under two kilobytes.
const DIGITS: u8 = 1;
/// The longest phase that is told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// How long each phase took.
#[derive(Debug, Default)]
struct Phases {
    histograms: [Option<Histogram<u32>>; PHASES],
    /// Of all, in nanoseconds; a histogram knows it to one digit only.
    sums_ns: [u64; PHASES],
}

/// One host, by the name and port it is asked for.
#[derive(Debug)]
pub(crate) struct Row {
    /// Printable.
    pub(crate) host: Box<str>,
    pub(crate) port: Option<u16>,
    /// How many had a row before it.
    born: usize,
    attempts: AtomicU64,
    ended: AtomicU64,
    connections: AtomicU64,
    failures: [AtomicU64; FAILURES],
    phase_times: Mutex<Option<Box<Phases>>>,
    last_error: Mutex<Option<(SystemTime, Failure, Option<CallPhase>)>>,
    /// On the monotonic clock; zero before the first.
    last_success_ns: AtomicU64,
    /// Open calls, the oldest first as long as none has ended.
    open: Mutex<Vec<Arc<CallState>>>,
}

impl Row {
    pub(crate) fn new(host: &str, port: Option<u16>) -> Self {
        Self::born(usize::MAX, host, port)
    }

    /// One before which `born` others had a row.
    pub(super) fn born(born: usize, host: &str, port: Option<u16>) -> Self {
        Self {
            born,
            host: printable::from_bytes(host.as_bytes()).into_boxed_str(),
            port,
            attempts: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; FAILURES],
            phase_times: Mutex::new(None),
            last_error: Mutex::new(None),
            last_success_ns: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn begin(&self, call: &Arc<CallState>) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        if open.len() < OPEN {
            open.push(call.clone());
        }
    }

    pub(crate) fn end(&self, call: &Arc<CallState>, failure: Option<Failure>, now_ns: u64) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        {
            let mut open = self.open.lock();
            if let Some(at) = open.iter().position(|known| Arc::ptr_eq(known, call)) {
                open.swap_remove(at);
            }
        }
        self.record(call);
        match failure {
            None => self.last_success_ns.store(now_ns, Ordering::Relaxed),
            Some(failure) => {
                self.failures[failure.number() as usize].fetch_add(1, Ordering::Relaxed);
                *self.last_error.lock() = Some((SystemTime::now(), failure, call.phase()));
            }
        }
    }

    /// How long the phases of a call took that is over.
    fn record(&self, call: &CallState) {
        let mut times = self.phase_times.lock();
        let times = times.get_or_insert_default();
        for phase in CallPhase::ALL {
            let spent_ns = call.spent_ns(phase);
            if spent_ns == 0 {
                continue;
            }
            times.sums_ns[phase as usize] += spent_ns;
            let histogram = &mut times.histograms[phase as usize];
            if histogram.is_none() {
                // Fails for impossible bounds only.
                *histogram = Histogram::new(DIGITS).ok();
            }
            if let Some(histogram) = histogram {
                let _ = histogram.record((spent_ns / 1000).clamp(1, LONGEST_US));
            }
        }
    }

    /// A connection to it was made.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn has_connected(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }

    /// Its open calls, in no order.
    pub(crate) fn open(&self) -> Vec<Arc<CallState>> {
        self.open.lock().clone()
    }

    /// How many had a row before it.
    pub(super) fn number(&self) -> usize {
        self.born
    }

    /// The numbers as they are counted; durations in buckets with these upper bounds in seconds.
    pub(super) fn counted(&self, bounds: &[f64]) -> Counted {
        let failed = Failure::ALL.map(|failure| {
            let count = self.failures[failure.number() as usize].load(Ordering::Relaxed);
            (failure, count)
        });
        // Before the attempts: who begins meanwhile has not ended before it began.
        let ended = self.ended.load(Ordering::Relaxed);
        let times = self.phase_times.lock();
        let phases = CallPhase::ALL.into_iter().filter_map(|phase| {
            let times = times.as_deref()?;
            let histogram = times.histograms[phase as usize].as_ref()?;
            let sum_ns = times.sums_ns[phase as usize];
            Some((phase, Spread::of(histogram, sum_ns, bounds)))
        });
        Counted {
            host: self.host.clone(),
            port: self.port,
            attempts: self.attempts.load(Ordering::Relaxed),
            ended,
            failures: failed.into_iter().filter(|(_, count)| *count > 0).collect(),
            phases: phases.collect(),
        }
    }

    pub(crate) fn stats(&self) -> PeerStats {
        let attempts = self.attempts.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        let failed = Failure::ALL.map(|failure| {
            let count = self.failures[failure.number() as usize].load(Ordering::Relaxed);
            (failure, count)
        });
        let success_ns = self.last_success_ns.load(Ordering::Relaxed);
        let ago = Duration::from_nanos(monotonic_ns().saturating_sub(success_ns));
        let last_success = SystemTime::now().checked_sub(ago);
        PeerStats {
            peer: Authority::new(&self.host, self.port).to_string(),
            attempts,
            in_flight: attempts.saturating_sub(ended),
            failures: failed.into_iter().filter(|(_, count)| *count > 0).collect(),
            phases: self.phases(),
            last_error: *self.last_error.lock(),
            last_success: last_success.filter(|_| success_ns > 0),
        }
    }

    fn phases(&self) -> Vec<PhaseStats> {
        let times = self.phase_times.lock();
        let Some(times) = times.as_deref() else {
            return Vec::new();
        };
        let stats = |phase: CallPhase| {
            let histogram = times.histograms[phase as usize].as_ref()?;
            let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
            Some(PhaseStats {
                phase,
                count: histogram.len(),
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                max: Duration::from_micros(histogram.max()),
            })
        };
        CallPhase::ALL.into_iter().filter_map(stats).collect()
    }
}

/// What is known of one host, over all calls of the process to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStats {
    /// Name and port, as it was asked for; control characters are escaped.
    pub peer: String,
    /// Calls that were begun.
    pub attempts: u64,
    /// Those that have not ended.
    pub in_flight: u64,
    /// Those that failed, by kind; kinds that never happened are left out.
    pub failures: Vec<(Failure, u64)>,
    /// How long each phase took, where it happened.
    pub phases: Vec<PhaseStats>,
    /// When a call last failed, how, and in which phase where that is known.
    pub last_error: Option<(SystemTime, Failure, Option<CallPhase>)>,
    /// When a call last succeeded.
    pub last_success: Option<SystemTime>,
}

impl PeerStats {
    /// Failures of all kinds.
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }

    /// What one phase took, if it ever happened.
    pub fn phase(&self, phase: CallPhase) -> Option<&PhaseStats> {
        self.phases.iter().find(|stats| stats.phase == phase)
    }
}

/// How long one phase of the calls to one host took; right to one significant digit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PhaseStats {
    /// Which phase.
    pub phase: CallPhase,
    /// How often it was finished.
    pub count: u64,
    /// Median.
    pub p50: Duration,
    /// 90 of 100 took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}
