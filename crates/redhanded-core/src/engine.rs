//! One install: what its parts share.

use crate::accepting::Listeners;
use crate::baseline::Baseline;
use crate::closures::Closures;
use crate::config::Config;
use crate::copied::kind;
use crate::health::{self, Health, Limits};
use crate::keep::Keeping;
use crate::metrics::{Counted, Meter};
use crate::recorder::Recorder;
use crate::registry::{Grown, Key, Registry};
use crate::story::{self, StoryStats};
use crate::worker::Worker;
use parking_lot::{Mutex, RwLock};
use redhanded_capture::monotonic_ns;
use redhanded_report::{How, Lost};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

static ENGINES: RwLock<Vec<&'static Engine>> = RwLock::new(Vec::new());

const WATCHING: u32 = 0;
const PARKED: u32 = 1;
const ENDED: u32 = 2;

/// The heart of one install. Never freed: tickets, which may outlive everything, refer to it
/// without counting, and its size is bounded by what was in flight at once.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) slow_after_ns: u64,
    pub(crate) counts: Counts,
    pub(crate) listeners: Listeners,
    pub(crate) closures: Closures,
    /// Requests that came to hold much memory, for the watchdog.
    pub(crate) grown: Grown,
    pub(crate) baseline: Baseline,
    pub(crate) health: health::Shared,
    pub(crate) meter: &'static Meter,
    /// Set where a sink wants requests whole.
    pub(crate) keeping: OnceLock<Keeping>,
    pub(crate) recorder: Option<Recorder>,
    state: AtomicU32,
    watchdog: OnceLock<std::thread::Thread>,
}

impl Engine {
    /// Makes an engine whose threads do not run yet.
    pub(crate) fn new(config: Config, recorder: Option<Recorder>) -> &'static Self {
        let mut engines = ENGINES.write();
        let index = u16::try_from(engines.len()).unwrap_or(u16::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let meter: &'static Meter = Box::leak(Box::default());
        let engine: &'static Self = Box::leak(Box::new(Self {
            registry: Registry::new(
                index,
                cores.saturating_mul(2),
                recorder.as_ref().map(Recorder::records),
                meter,
            ),
            meter,
            slow_after_ns: nanos(config.slow_after),
            counts: Counts::default(),
            listeners: Listeners::default(),
            closures: Closures::default(),
            grown: Grown::default(),
            baseline: Baseline::new(),
            health: health::Shared::new(Limits {
                unready_ns: nanos(config.health.unready_after),
                restart_ns: nanos(config.health.restart_after),
            }),
            keeping: OnceLock::new(),
            recorder,
            state: AtomicU32::new(WATCHING),
            watchdog: OnceLock::new(),
            config,
        }));
        engines.push(engine);
        engine
    }

    /// The engine that a slot's key belongs to.
    pub(crate) fn of(key: Key) -> Option<&'static Self> {
        ENGINES.read().get(key.engine() as usize).copied()
    }

    /// The same for a thread that may not wait: `None` while an install is under way.
    pub(crate) fn try_of(key: Key) -> Option<&'static Self> {
        let engines = ENGINES.try_read()?;
        engines.get(key.engine() as usize).copied()
    }

    /// The engine of the request that this thread polls, else the first that has not ended: whose
    /// the free functions are.
    pub fn here() -> Option<&'static Self> {
        let current = Worker::known().and_then(Worker::current);
        current.and_then(Self::of).or_else(|| {
            let engines = ENGINES.read();
            engines.iter().find(|engine| !engine.has_ended()).copied()
        })
    }

    /// Whether this thread is inside a poll of any watched request.
    #[inline]
    pub fn is_polling() -> bool {
        Worker::here().current().is_some()
    }

    /// Whether the request that this thread polls is this very one, opened by a layer of this
    /// install further out: same method, and a target that ends like ours, for a router strips the
    /// front of what it nests. If so, it learns the route from us, should it not know it.
    pub fn is_open_here(&'static self, method: &str, target: &str, route: Option<&str>) -> bool {
        let slot = Worker::known().and_then(Worker::current_slot);
        let Some(slot) = slot.filter(|s| s.key.engine() == self.registry.engine() && !s.is_child())
        else {
            return false;
        };
        let facts = slot.facts.read();
        let find = |kind| facts.iter().find(|fact| fact.kind == kind);
        let same_method = find(kind::METHOD).is_some_and(|m| m.bytes == method.as_bytes());
        let same_target = find(kind::TARGET).is_some_and(|outer| {
            let whole = outer.bytes.len() == outer.total as usize;
            if whole {
                outer.bytes.ends_with(target.as_bytes())
            } else {
                outer.total as usize == target.len() && target.as_bytes().starts_with(&outer.bytes)
            }
        });
        if !(same_method && same_target) {
            return false;
        }
        if let Some(route) = route.filter(|_| find(kind::ROUTE).is_none()) {
            let mut facts = slot.facts.append();
            facts.put(kind::ROUTE, route.as_bytes(), 128);
            facts.done();
            if let Some(recorder) = &self.recorder {
                recorder.begin_anew(slot);
            }
        }
        true
    }

    /// What this install was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of requests in flight. Looks at every slot; for people and tests.
    pub fn in_flight(&self) -> usize {
        self.registry.in_flight()
    }

    /// What happened so far. Looks at every slot; for people and tests.
    pub fn stats(&self) -> Stats {
        let ended = |how| self.registry.ended(how);
        Stats {
            ended: Ends {
                completed: ended(How::Completed),
                dropped: ended(How::Dropped),
                client_gone: ended(How::ClientGone),
                cancelled: ended(How::Cancelled),
                panicked: ended(How::Panicked),
            },
            baseline: self.baseline.stats(),
            unrecorded: self.recorder.as_ref().map_or(0, Recorder::unrecorded),
            ..self.counts.stats()
        }
    }

    /// Counts for those who ask for metrics from now on, if it did not yet. A request then costs a little more.
    pub(crate) fn start_counting(&self) -> &Counted {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.meter.start(cores)
    }

    /// Whether this process should be given requests, and whether it should be restarted. Cheap, waits for nobody.
    pub fn health(&self) -> Health {
        let is_watching = self.state.load(Ordering::SeqCst) == WATCHING;
        self.health.health(is_watching, monotonic_ns())
    }

    /// The application can be asked from now on: a service manager is told so, once.
    pub fn ready(&self) {
        self.health.announce();
    }

    /// Wakes the watchdog for a look at the workers, if it sleeps and has not looked for a while: a runtime whose
    /// workers stand in what nobody watches takes no request that would wake it.
    pub(crate) fn look_at_workers(&self) {
        const RECENT_NS: u64 = 1_000_000_000;
        let is_parked = self.state.load(Ordering::SeqCst) == PARKED;
        if is_parked && monotonic_ns().saturating_sub(self.health.beat_ns()) >= RECENT_NS {
            self.wake_watchdog();
        }
    }

    /// The watchdog is to look at what is in flight, until `until_ns` at most; `false` if that was asked before.
    pub(crate) fn begin_shutdown(&self, until_ns: u64) -> bool {
        let begun = self.health.begin_shutdown(until_ns);
        self.unpark();
        self.wake_watchdog();
        begun
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ENDED
    }

    pub(crate) fn end(&self) {
        self.state.store(ENDED, Ordering::SeqCst);
        self.wake_watchdog();
    }

    pub(crate) fn set_watchdog(&self, thread: std::thread::Thread) {
        let _ = self.watchdog.set(thread);
    }

    /// After a request was opened: wakes the watchdog, only when it is parked. A futex call per
    /// request would be a timer's price again.
    #[inline]
    pub(crate) fn unpark(&self) {
        if self.state.load(Ordering::SeqCst) == PARKED {
            self.unpark_slowly();
        }
    }

    #[cold]
    fn unpark_slowly(&self) {
        if self
            .state
            .compare_exchange(PARKED, WATCHING, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.wake_watchdog();
        }
    }

    fn wake_watchdog(&self) {
        if let Some(watchdog) = self.watchdog.get() {
            watchdog.unpark();
        }
    }

    /// The watchdog announces that it is about to park; it must look once more before it does.
    pub(crate) fn parking(&self) {
        let _ = self
            .state
            .compare_exchange(WATCHING, PARKED, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// The watchdog is awake again, or found something at its last look. Says whether nobody woke it.
    pub(crate) fn watching(&self) -> bool {
        self.state
            .compare_exchange(PARKED, WATCHING, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

/// A duration in nanoseconds, as far as they fit.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Counters of one install.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    caught: AtomicU64,
    repeats: AtomicU64,
    unwatched: AtomicU64,
    reports: AtomicU64,
    stacks: AtomicU64,
    events: AtomicU64,
    /// Requests that were to be exported whole, and that the clerk had no time for.
    kept: AtomicU64,
    internal_errors: AtomicU64,
    evicted: AtomicU64,
    /// Why something is lost, where somebody can do something about it; until a record has said so.
    why: Mutex<Vec<String>>,
}

/// Reasons that wait for a record; there are no more exporters than this.
const REASONS: usize = 8;

/// What one install has seen and what it had to drop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that became overdue, each counted once.
    pub caught: u64,
    /// Those among them whose own line was left out because their like had lines enough.
    pub repeats: u64,
    /// Requests that ran unwatched because four million were in flight.
    pub unwatched: u64,
    /// Requests that the flight recorder had no free record for.
    pub unrecorded: u64,
    /// Errors inside of us that were caught and survived.
    pub internal_errors: u64,
    /// Fingerprints that were forgotten, the least seen first, because there were more than 4,096. One that
    /// comes again is counted anew: its `occurrences` are at least so many.
    pub evicted: u64,
    /// How the requests that are over have ended, caught or not.
    pub ended: Ends,
    /// Normal requests that culprits are compared with.
    pub baseline: BaselineStats,
    /// Lines of the log that wait in memory, because the disk refuses them or does not answer.
    pub waiting: u64,
    /// What could not be recorded of the spans and events of requests; of the whole process, and part of
    /// `lost.events`.
    pub story: StoryStats,
    /// What had to be dropped.
    pub lost: Lost,
}

/// What is kept of normal requests, to tell what culprits have in common and others have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaselineStats {
    /// Routes that have samples; 256 at most.
    pub routes: u64,
    /// Normal requests that are kept, of all routes; 256 of each at most, and 8 MiB of all.
    pub sampled: u64,
    /// Those that were to be kept and were not: one route too many, or another thread was at it.
    pub missed: u64,
    /// Fingerprints whose culprits were forgotten because there were more than 1,024.
    pub forgotten: u64,
}

/// How many requests ended in which way; see [`redhanded_report::How`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ends {
    /// The response reached its end or its exact length.
    pub completed: u64,
    /// Dropped before that.
    pub dropped: u64,
    /// The client went away, proved by its socket.
    pub client_gone: u64,
    /// Our own policy dropped it.
    pub cancelled: u64,
    /// The handler or the body panicked.
    pub panicked: u64,
}

impl Ends {
    /// All requests that are over.
    pub fn total(&self) -> u64 {
        self.completed + self.dropped + self.client_gone + self.cancelled + self.panicked
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $field:ident),* $(,)?) => {
        impl Counts {
            $($(#[$doc])* pub(crate) fn $name(&self) {
                self.$field.fetch_add(1, Ordering::Relaxed);
            })*
        }
    };
}

counters! {
    caught => caught,
    repeat => repeats,
    unwatched => unwatched,
    lost_report => reports,
    lost_kept => kept,
    internal_error => internal_errors,
}

impl Counts {
    /// Sinks count for themselves; this is their sum.
    pub(crate) fn set_lost_events(&self, events: u64) {
        self.events.store(events, Ordering::Relaxed);
    }

    /// The next record is to say why something is lost.
    pub(crate) fn explain(&self, why: String) {
        let mut reasons = self.why.lock();
        if reasons.len() < REASONS {
            reasons.push(why);
        }
    }

    /// What the next record is to say.
    pub(crate) fn why_lost(&self) -> Vec<String> {
        std::mem::take(&mut *self.why.lock())
    }

    pub(crate) fn evicted(&self, more: u64) {
        self.evicted.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn lost_stacks(&self, more: u64) {
        self.stacks.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn lost_reports(&self, more: u64) {
        self.reports.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        lost.reports = self.reports.load(Ordering::Relaxed);
        lost.stacks = self.stacks.load(Ordering::Relaxed);
        let of_sinks = self.events.load(Ordering::Relaxed);
        let kept = self.kept.load(Ordering::Relaxed);
        lost.events = of_sinks
            .saturating_add(kept)
            .saturating_add(story::stats().total());
        lost
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            caught: self.caught.load(Ordering::Relaxed),
            repeats: self.repeats.load(Ordering::Relaxed),
            unwatched: self.unwatched.load(Ordering::Relaxed),
            unrecorded: 0,
            internal_errors: self.internal_errors.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            ended: Ends::default(),
            baseline: BaselineStats::default(),
            waiting: 0,
            story: story::stats(),
            lost: self.lost(),
        }
    }
}
