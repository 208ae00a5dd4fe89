//! Bringing an install to life, and to its end.

use crate::case::Message;
use crate::clerk::Clerk;
use crate::config::{Config, DEFAULT_LOG, Error, HealthRules, Log, Scrape};
use crate::engine::{Engine, Stats, nanos};
use crate::health::{Ask, Bound, Health, Notifier, serve};
use crate::keep::Keeping;
use crate::memory::keep_own_books;
use crate::metrics::{Outside, Snapshot, gather};
use crate::recorder::{self, Opened, Recorder, Untold};
use crate::redact::Redactor;
use crate::sink::Sink;
use crate::slow_log::{Limits, Progress, SlowLog, Target, Writer};
use crate::watchdog::Watchdog;
use redhanded_capture::alloc::{detect, is_counting};
use redhanded_capture::{Abilities, Sampler, monotonic_ns, outlook};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Messages that may wait for the clerk.
const QUEUE: usize = 1024;
/// A shutdown looks at what is in flight for no longer than that.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A year: longer deadlines than a clock can tell.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A running install: the engine, and what ends it.
#[derive(Clone)]
pub struct Installed {
    engine: &'static Engine,
    clerk: SyncSender<Message>,
    sinks: Arc<[Box<dyn Sink>]>,
    log: Progress,
    numbers: Numbers,
    log_note: Arc<str>,
    recorder_note: Arc<str>,
    abilities: Arc<str>,
    bound: Bound,
    tells_systemd: bool,
}

impl std::fmt::Debug for Installed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installed")
            .field("service", &self.engine.config().service.name)
            .finish_non_exhaustive()
    }
}

/// Starts the watchdog, the clerk and the log's writer. `config` has been resolved.
///
/// Returns warnings besides: a default log that cannot be written goes to stderr instead.
///
/// # Errors
///
/// A log path that was asked for and cannot be written, or a thread that cannot be started.
pub fn install(
    config: Config,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<(Installed, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let (log, writer) = open_log(&config, &mut warnings)?;
    let log_note = note_of(&writer, &config.log);
    // Before any thread or request: what is counted is counted from the beginning.
    detect();
    let counts = config.metrics;
    let (recorder, untold) = open_recorder(&config, &mut warnings)?;
    let recorder_note = note_of_recorder(recorder.as_ref(), &untold);
    let engine = Engine::new(config, recorder);
    if counts {
        engine.start_counting();
    }
    let begun = begin(
        engine,
        (log, writer),
        sinks,
        untold,
        (log_note, recorder_note),
    );
    let installed = begun.inspect_err(|_| {
        engine.end();
        // Another attempt may have the file.
        if let Some(recorder) = &engine.recorder {
            recorder.shut_down(monotonic_ns());
        }
    })?;
    Ok((installed, warnings))
}

/// Starts all threads of an engine.
fn begin(
    engine: &'static Engine,
    (log, writer): (SlowLog, Writer),
    sinks: Vec<Box<dyn Sink>>,
    untold: Vec<Untold>,
    (log_note, recorder_note): (String, String),
) -> Result<Installed, Error> {
    let progress = log.progress();
    let (rules, scrape) = (engine.config.health, engine.config.scrape);
    let sinks: Arc<[Box<dyn Sink>]> = sinks.into();
    let numbers = Numbers {
        engine,
        log: progress.clone(),
        sinks: Arc::downgrade(&sinks),
    };
    let bound = answer_checks(engine, rules, scrape.map(|write| (write, numbers.clone())))?;
    let (clerk, messages) = sync_channel(QUEUE);
    if sinks.iter().any(|sink| sink.keeps()) && !engine.config.spans_exported_elsewhere {
        let keeping = Keeping::new(clerk.clone(), engine.config.keep_one_in);
        let _ = engine.keeping.set(keeping);
    }
    let filing = Clerk::new(engine, log, sinks.clone(), untold);
    spawn("redhanded-log", move || {
        keep_own_books();
        writer.run();
    })?;
    spawn("redhanded-clerk", move || filing.run(&messages))?;
    if let Some(sync) = engine.recorder.as_ref().and_then(|r| r.sync_thread()) {
        spawn("redhanded-sync", sync)?;
    }
    let sampler = Sampler::new();
    let abilities = describe(&sampler.abilities()).into();
    let watching = clerk.clone();
    let watchdog = spawn("redhanded-watch", move || {
        Watchdog::new(engine, sampler, watching).run()
    })?;
    engine.set_watchdog(watchdog.thread().clone());
    let tells_systemd = Notifier::start(engine)?;
    Ok(Installed {
        engine,
        clerk,
        sinks,
        log: progress,
        numbers,
        log_note: log_note.into(),
        recorder_note: recorder_note.into(),
        abilities,
        bound,
        tells_systemd,
    })
}

/// Tells the numbers of an install, to whoever scrapes or exports them; keeps none of its parts alive that end.
#[derive(Clone)]
pub struct Numbers {
    engine: &'static Engine,
    log: Progress,
    sinks: Weak<[Box<dyn Sink>]>,
}

impl Numbers {
    /// The numbers at this moment. Who asks for the first time switches the counting on, unless it is.
    ///
    /// Looks at every request in flight and at every host, and reads `/proc`: not for a hot path. Waits for no request.
    pub fn snapshot(&self) -> Snapshot {
        let sinks = self.sinks.upgrade();
        let outside = Outside {
            log_waiting: self.log.waiting() as u64,
            lost_events: sinks.map_or(0, |sinks| sinks.iter().map(|sink| sink.lost()).sum()),
        };
        gather(self.engine, outside)
    }

    /// Counts from now on, if it did not.
    pub fn start(&self) {
        self.engine.start_counting();
    }

    /// An export of them did not arrive: counted as `redhanded.lost` of the kind `metric_exports`. The next record says
    /// `why`, if that is news.
    pub fn count_lost_export(&self, why: Option<String>) {
        self.engine.meter.lose_export();
        if let Some(why) = why {
            self.engine.counts.explain(why);
        }
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

/// The flight recorder, if one is asked for, and what processes that are dead have left in its place.
fn open_recorder(
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<(Option<Recorder>, Vec<Untold>), Error> {
    let Some(asked) = &config.flight_recorder else {
        return Ok((None, Vec::new()));
    };
    let redactor = Redactor::new(&config.secret_keys);
    let Opened {
        recorder,
        untold,
        notes,
    } = recorder::open(asked, &config.service, redactor)?;
    warnings.extend(notes);
    Ok((Some(recorder), untold))
}

/// Where the recorder is and how many died last time, as a person wants to read it.
fn note_of_recorder(recorder: Option<&Recorder>, untold: &[Untold]) -> String {
    let Some(recorder) = recorder else {
        return String::new();
    };
    let at = recorder.path().display();
    let died: usize = untold.iter().map(|untold| untold.died).sum();
    match untold.len() {
        0 => format!("flight recorder {at}"),
        1 => format!("flight recorder {at}, {died} in flight when the last process ended"),
        n => format!("flight recorder {at}, {died} in flight when the last {n} processes ended"),
    }
}

/// Answers health checks where that is asked for, and tells numbers there, if somebody can write them.
fn answer_checks(
    engine: &'static Engine,
    rules: HealthRules,
    scrape: Option<(Scrape, Numbers)>,
) -> Result<Bound, Error> {
    let health = move || {
        engine.look_at_workers();
        engine.health()
    };
    let scrape = scrape.map(|(write, numbers)| -> Box<dyn Fn(&str) -> _ + Send> {
        Box::new(move |accept: &str| {
            numbers.engine.meter.counted()?;
            Some(write(&numbers.snapshot(), accept))
        })
    });
    let ask = Ask {
        health: Box::new(health),
        scrape,
    };
    serve(rules.listener, rules.agent_check, ask)
}

/// What can be seen here, in one phrase.
fn describe(abilities: &Abilities) -> String {
    let parts = [
        ("running threads", &abilities.running_threads),
        ("blocked threads", &abilities.blocked_threads),
        ("waiting futures", &abilities.waiting_futures),
        ("peers", &abilities.peers),
    ];
    let works: Vec<&str> = parts
        .iter()
        .filter(|(_, can)| can.is_ok())
        .map(|(what, _)| *what)
        .collect();
    let mut text = format!(
        "sees {}",
        if works.is_empty() {
            "no stacks".to_owned()
        } else {
            works.join(", ")
        }
    );
    for (what, why) in parts
        .iter()
        .filter_map(|(what, can)| Some((what, can.as_ref().err()?)))
    {
        text += &format!("; not {what}: {why}");
    }
    text += &format!("; {}", outlook());
    text += if is_counting() {
        "; memory is counted"
    } else {
        "; memory is not counted: redhanded::alloc::Counting is not the global allocator"
    };
    text
}

fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|e| Error::io(format!("the thread {name} could not be started"), e))
}

fn open_log(config: &Config, warnings: &mut Vec<String>) -> Result<(SlowLog, Writer), Error> {
    let limits = Limits {
        max_bytes: config.log_max_bytes,
        keep: config.log_keep,
        ..Limits::default()
    };
    let to_path = |path: &Path| SlowLog::open(Target::Path(path.to_owned()), limits);
    let to = |target, name| {
        SlowLog::open(target, limits).map_err(|e| Error::io(format!("{name} cannot be opened"), e))
    };
    match &config.log {
        Log::Path(path) => to_path(path).map_err(|e| {
            Error::io(
                format!(
                    "the slow-request log {path:?} cannot be written; give a file in a writable directory, or stderr"
                ),
                e,
            )
        }),
        Log::Stderr => to(Target::Stderr, "stderr"),
        Log::Nowhere => to(Target::Nowhere, "nowhere"),
        Log::Default => to_path(Path::new(DEFAULT_LOG)).or_else(|e| {
            warnings.push(format!(
                "{DEFAULT_LOG} cannot be written ({e}); reports go to stderr"
            ));
            to(Target::Stderr, "stderr")
        }),
    }
}

/// Where the log goes, as a person wants to read it.
fn note_of(writer: &Writer, log: &Log) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (writer.path(), log) {
        (Some(path), _) => absolute(path).display().to_string(),
        (None, Log::Nowhere) => "nowhere".to_owned(),
        (None, _) => "stderr".to_owned(),
    }
}

impl Installed {
    /// The engine that tickets are opened with.
    pub fn engine(&self) -> &'static Engine {
        self.engine
    }

    /// Where reports go: a path, or `stderr`.
    pub fn log(&self) -> &str {
        &self.log_note
    }

    /// Where the flight recorder is, and how many requests were in flight when the last process ended, in one phrase;
    /// empty without one.
    pub fn flight_recorder(&self) -> &str {
        &self.recorder_note
    }

    /// How this process is, as the watchdog sees it.
    pub fn health(&self) -> Health {
        self.engine.health()
    }

    /// Where HTTP health checks are answered, if they are.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.bound.http
    }

    /// Where agent-checks are answered, if they are.
    pub fn agent_check_address(&self) -> Option<SocketAddr> {
        self.bound.agent
    }

    /// Who is told of this process's health, in one phrase; empty if nobody is.
    pub fn checks(&self) -> String {
        let http = self.bound.http.map(|at| format!("health at http://{at}"));
        let agent = self.bound.agent.map(|at| format!("agent-check at {at}"));
        let systemd = self.tells_systemd.then(|| "tells systemd".to_owned());
        let parts: Vec<String> = [http, agent, systemd].into_iter().flatten().collect();
        parts.join("; ")
    }

    /// What was seen and lost so far.
    pub fn stats(&self) -> Stats {
        let lost_events = self.sinks.iter().map(|s| s.lost()).sum();
        self.engine.counts.set_lost_events(lost_events);
        Stats {
            waiting: self.log.waiting() as u64,
            ..self.engine.stats()
        }
    }

    /// What tells the numbers of this install.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// What can be seen in this process, in one phrase.
    pub fn abilities(&self) -> &str {
        &self.abilities
    }

    /// Waits until everything that was found so far is on disk and exported, at most for `deadline`.
    ///
    /// Blocks; `false` means that something is still on its way, such as what a dead process has left in a flight recorder
    /// and a slow disk has not taken yet. A disk that hangs takes nothing of
    /// the time that sinks have, and a collector that hangs nothing of the disk's.
    pub fn flush(&self, deadline: Duration) -> bool {
        let now = Instant::now();
        let until = now.checked_add(deadline).unwrap_or(now + FOR_EVER);
        let left = || until.saturating_duration_since(Instant::now());
        let (done, wait) = sync_channel(1);
        let filed = self.clerk.try_send(Message::Flush(done)).is_ok()
            && wait.recv_timeout(left()).unwrap_or(false);
        let mut exported = true;
        for sink in &*self.sinks {
            exported &= sink.flush(left());
        }
        self.log.flush(until) && filed && exported
    }

    /// Ends the watching: this process is not ready from now on, what is in flight is looked at, new requests run
    /// unwatched, what was found is filed and exported.
    ///
    /// Blocks for at most `deadline`; `false` means that something was still on its way.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        self.look_before_the_end(deadline);
        let first = !self.engine.has_ended();
        self.engine.end();
        let flushed = self.flush(until.saturating_duration_since(Instant::now()));
        if let Some(recorder) = self.engine.recorder.as_ref().filter(|_| first) {
            recorder.shut_down(monotonic_ns());
        }
        flushed
    }

    /// Half of the time is left for what comes of it.
    fn look_before_the_end(&self, deadline: Duration) {
        let time = (deadline / 2).min(LAST_LOOK);
        let until_ns = monotonic_ns().saturating_add(nanos(time));
        if self.engine.has_ended() || !self.engine.begin_shutdown(until_ns) {
            return;
        }
        // A watchdog that hangs gets a little more, and no more.
        let until = Instant::now() + time + time / 4;
        while !self.engine.health.is_looked() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
