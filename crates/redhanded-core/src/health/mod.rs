//! Whether this process should be given requests, and whether it should be restarted: the watchdog's
//! view, for load balancers and supervisors.
//!
//! The watchdog writes it ([`Shared`]); whoever asks reads an atomic word, so that the answer comes even if every
//! worker stands. Only what stands in this process counts: never other hosts, pools, or how many are overdue.

mod agent;
#[cfg(unix)]
mod answer;
mod http;
mod machine;
mod notify;
#[cfg(unix)]
mod serve;
#[cfg(not(unix))]
#[path = "serve_nowhere.rs"]
mod serve;

pub(crate) use machine::{Limits, Node, RuntimeLook};
use machine::{State, Why};
pub(crate) use notify::Notifier;
pub(crate) use serve::{Bound, serve};

use parking_lot::{Mutex, RwLock};
use redhanded_report::Class;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How a process is, as its watchdog sees it.
///
/// `ready` says whether it should be given requests, `alive` whether it should be left running. Both go by what
/// stands in this process only: a database that is dead changes neither.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// It should be given requests: its workers move, and no shutdown has begun.
    pub ready: bool,
    /// It should not be restarted.
    pub alive: bool,
    /// A shutdown has begun.
    pub shutting_down: bool,
    /// Share of the workers that are not held by what stands in this process, in percent, rounded; of all runtimes
    /// that serve watched requests.
    pub free_workers_percent: u8,
    /// Why it is not ready or not alive, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request that has kept a worker for the longest time, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub culprit: Option<Holder>,
}

/// What those who come to the listeners are answered from.
pub(crate) struct Ask {
    pub(crate) health: Box<dyn Fn() -> Health + Send>,
    /// The content type and the text of the numbers, by an `Accept` header.
    pub(crate) scrape: Option<Scraping>,
}

/// Writes numbers by an `Accept` header; `None` while nothing is counted, which no stranger is to begin.
type Scraping = Box<dyn Fn(&str) -> Option<(&'static str, String)> + Send>;

/// A request that keeps a worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Holder {
    /// The id of its reports.
    pub id: String,
    /// `cpu_loop`, `spin_loop` or `blocked_thread`.
    pub class: Class,
    /// Its method, or `JOB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The template of its route, or the name of the job; no path and no parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// For how long it has kept the worker, in milliseconds.
    pub for_ms: f64,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.class)?;
        for part in [&self.method, &self.route].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        write!(f, " [{}]", self.id)
    }
}

const NOT_READY: u32 = 1;
const NOT_ALIVE: u32 = 2;
const SHUTTING_DOWN: u32 = 4;
const SHARE_SHIFT: u32 = 8;

/// A shutdown, step by step.
const RUNS: u32 = 0;
const LAST_LOOK: u32 = 1;
const LOOKED: u32 = 2;

/// What the watchdog says, and what others read without a lock.
#[derive(Debug)]
pub(crate) struct Shared {
    limits: Limits,
    /// Flags, and the share of held workers.
    word: AtomicU32,
    /// When the watchdog ran last, in nanoseconds of the monotonic clock.
    heartbeat_ns: AtomicU64,
    why: RwLock<Option<Arc<Why>>>,
    heart: Mutex<Heart>,
    heart_stands: AtomicBool,
    shutdown: AtomicU32,
    last_look_until_ns: AtomicU64,
    announced: AtomicBool,
    /// Wants to hear of changes.
    notifier: OnceLock<std::thread::Thread>,
}

/// The last heartbeat that was seen, and how often it was seen again.
#[derive(Debug, Default)]
struct Heart {
    beat_ns: u64,
    since_ns: u64,
    seen_ns: u64,
    times: u32,
}

/// So often a heartbeat must be found unchanged, with time in between: one who has just been woken from a pause
/// may ask before the watchdog runs.
const TIMES: u32 = 3;

impl Shared {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            word: AtomicU32::new(0),
            heartbeat_ns: AtomicU64::new(0),
            why: RwLock::new(None),
            heart: Mutex::new(Heart::default()),
            heart_stands: AtomicBool::new(false),
            shutdown: AtomicU32::new(RUNS),
            last_look_until_ns: AtomicU64::new(0),
            announced: AtomicBool::new(false),
            notifier: OnceLock::new(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The watchdog runs.
    pub(crate) fn beat(&self, now_ns: u64) {
        self.heartbeat_ns.store(now_ns, Ordering::Relaxed);
    }

    /// When it ran last.
    pub(crate) fn beat_ns(&self) -> u64 {
        self.heartbeat_ns.load(Ordering::Relaxed)
    }

    /// The watchdog tells what it has found. Never waits: a reader may hold the sentence, and gets the next one.
    pub(crate) fn tell(&self, state: State) {
        let held = 100_u32.saturating_sub(u32::from(state.free_percent));
        let mut word = held << SHARE_SHIFT;
        word |= if state.ready { 0 } else { NOT_READY };
        word |= if state.alive { 0 } else { NOT_ALIVE };
        let set = |before: u32| Some(word | (before & SHUTTING_DOWN));
        let before = self
            .word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, set)
            .unwrap_or_default();
        let is_new = |why: &Option<Arc<Why>>| why.as_deref() != state.why.as_ref();
        if let Some(mut why) = self.why.try_write()
            && is_new(&why)
        {
            *why = state.why.map(Arc::new);
        }
        if (before ^ word) & !SHUTTING_DOWN != 0 {
            self.wake_notifier();
        }
    }

    /// How it is; `is_watching` says that the watchdog does not sleep until it is woken.
    pub(crate) fn health(&self, is_watching: bool, now_ns: u64) -> Health {
        let word = self.word.load(Ordering::SeqCst);
        let shutting_down = word & SHUTTING_DOWN != 0;
        let heart_stands = !shutting_down && self.heart_stands(is_watching, now_ns);
        let why = self.why.read().clone();
        let reason = if heart_stands {
            Some("the watchdog does not answer".to_owned())
        } else if shutting_down {
            Some("it is shutting down".to_owned())
        } else {
            why.as_ref().map(|why| why.to_string())
        };
        let not_ready = word & (NOT_READY | SHUTTING_DOWN) != 0;
        let not_alive = word & NOT_ALIVE != 0 || heart_stands;
        let held = (word >> SHARE_SHIFT) as u8;
        Health {
            ready: !(not_ready || not_alive),
            alive: !not_alive,
            shutting_down,
            free_workers_percent: 100_u8.saturating_sub(held),
            reason: reason.filter(|_| not_ready || not_alive),
            culprit: why.and_then(|why| why.culprit.clone()),
        }
    }

    /// The watchdog has not run for too long although it should. Asked by several, and at any pace.
    fn heart_stands(&self, is_watching: bool, now_ns: u64) -> bool {
        let Some(mut heart) = self.heart.try_lock() else {
            return self.heart_stands.load(Ordering::Relaxed);
        };
        let beat_ns = self.beat_ns();
        if !is_watching || heart.beat_ns != beat_ns || heart.times == 0 {
            *heart = Heart {
                beat_ns,
                since_ns: now_ns,
                seen_ns: now_ns,
                times: u32::from(is_watching),
            };
        } else if now_ns.saturating_sub(heart.seen_ns) >= self.limits.restart_ns / 8 {
            heart.seen_ns = now_ns;
            heart.times = heart.times.saturating_add(1);
        }
        let for_ns = now_ns.saturating_sub(heart.since_ns);
        let stands = heart.times >= TIMES && for_ns >= self.limits.restart_ns;
        self.heart_stands.store(stands, Ordering::Relaxed);
        stands
    }

    /// The application says that it is there. `true` the first time.
    pub(crate) fn announce(&self) -> bool {
        let first = !self.announced.swap(true, Ordering::SeqCst);
        if first {
            self.wake_notifier();
        }
        first
    }

    pub(crate) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::SeqCst)
    }

    /// A shutdown begins, in which the watchdog looks at what is in flight until `until_ns`; `false` if one had begun.
    pub(crate) fn begin_shutdown(&self, until_ns: u64) -> bool {
        self.last_look_until_ns.store(until_ns, Ordering::SeqCst);
        let begun =
            self.shutdown
                .compare_exchange(RUNS, LAST_LOOK, Ordering::SeqCst, Ordering::SeqCst);
        self.word.fetch_or(SHUTTING_DOWN, Ordering::SeqCst);
        self.wake_notifier();
        begun.is_ok()
    }

    /// Until when the watchdog is to look at what is in flight; `None` while that is not asked of it.
    pub(crate) fn last_look_until_ns(&self) -> Option<u64> {
        let asked = self.shutdown.load(Ordering::SeqCst) == LAST_LOOK;
        asked.then(|| self.last_look_until_ns.load(Ordering::SeqCst))
    }

    /// It has looked.
    pub(crate) fn has_looked(&self) {
        self.shutdown.store(LOOKED, Ordering::SeqCst);
    }

    pub(crate) fn is_looked(&self) -> bool {
        self.shutdown.load(Ordering::SeqCst) == LOOKED
    }

    fn set_notifier(&self, thread: std::thread::Thread) {
        let _ = self.notifier.set(thread);
    }

    fn wake_notifier(&self) {
        if let Some(thread) = self.notifier.get() {
            thread.unpark();
        }
    }
}

/// A text of the application's, for a status line: printable, on one line, and short.
pub(crate) fn plain(bytes: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(plain).take(LONGEST).collect()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    const SECOND: u64 = 1_000_000_000;

    fn shared() -> Shared {
        Shared::new(Limits {
            unready_ns: SECOND / 3,
            restart_ns: 30 * SECOND,
        })
    }

    #[test]
    fn a_process_that_nobody_has_looked_at_is_well() {
        let health = shared().health(true, SECOND);
        assert!(health.ready && health.alive && health.reason.is_none());
        assert_eq!(health.free_workers_percent, 100);
    }

    #[test]
    fn a_watchdog_that_stands_while_it_should_run_is_told_after_a_while() {
        let shared = shared();
        shared.beat(SECOND);
        let alive = |at, watching| shared.health(watching, at * SECOND).alive;
        for at in (2..32).step_by(2) {
            assert!(alive(at, true), "{at} s");
        }
        assert!(!alive(32, true));
        let health = shared.health(true, 33 * SECOND);
        assert!(!health.ready && !health.alive);
        assert!(health.reason.is_some_and(|why| why.contains("watchdog")));
        shared.beat(34 * SECOND);
        assert!(alive(34, true), "it runs again");
    }

    #[test]
    fn a_watchdog_that_may_sleep_is_well_however_long() {
        let shared = shared();
        for at in 0..100 {
            assert!(shared.health(false, at * 10 * SECOND).alive);
        }
        // Just woken, and not run yet.
        assert!(shared.health(true, 2_000 * SECOND).alive);
    }

    #[test]
    fn after_a_pause_one_look_is_no_proof() {
        let shared = shared();
        shared.beat(SECOND);
        assert!(shared.health(true, 2 * SECOND).alive);
        // Stopped for an hour; who asks runs before the watchdog.
        assert!(shared.health(true, 3_600 * SECOND).alive);
        assert!(shared.health(true, 3_601 * SECOND).alive);
        shared.beat(3_601 * SECOND);
        assert!(shared.health(true, 3_700 * SECOND).alive);
    }

    #[test]
    fn a_shutdown_drains_and_kills_nobody() {
        let shared = shared();
        assert!(shared.begin_shutdown(SECOND));
        assert!(!shared.begin_shutdown(SECOND), "once");
        shared.tell(State::default());
        for at in 0..100 {
            let health = shared.health(true, at * SECOND);
            assert!(!health.ready && health.alive && health.shutting_down);
        }
    }

    #[test]
    fn no_text_of_the_application_adds_a_line() {
        assert_eq!(plain(b"/a\nREADY=1\x1b[0m"), "/a?READY=1?[0m");
        assert_eq!(plain(&[b'x'; 500]).len(), 120);
    }
}
