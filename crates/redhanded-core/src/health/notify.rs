//! systemd is told how the process is, by a thread of its own: its socket may be full.

use super::Health;
use crate::config::Error;
use crate::engine::Engine;
use crate::memory;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// What could not be sent is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// Between two `WATCHDOG=1` at least, whatever is asked for.
const SHORTEST: Duration = Duration::from_millis(10);

/// What the service manager is told, and was told.
pub(crate) struct Notifier {
    engine: &'static Engine,
    /// Between two `WATCHDOG=1`; `None` where nobody waits for them.
    every: Option<Duration>,
    beat: Option<Instant>,
    ready: bool,
    stopping: bool,
    status: String,
}

impl Notifier {
    /// Starts the thread if there is a service manager that wants to hear; says whether there is.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn start(engine: &'static Engine) -> Result<bool, Error> {
        if std::env::var_os("NOTIFY_SOCKET").is_none_or(|socket| socket.is_empty()) {
            return Ok(false);
        }
        let notifier = Self {
            engine,
            every: sd_notify::watchdog_enabled().map(|within| (within / 2).max(SHORTEST)),
            beat: None,
            ready: false,
            stopping: false,
            status: String::new(),
        };
        let thread = std::thread::Builder::new()
            .name("redhanded-unit".to_owned())
            .spawn(move || notifier.run())
            .map_err(|e| Error::io("the thread redhanded-unit could not be started", e))?;
        engine.health.set_notifier(thread.thread().clone());
        Ok(true)
    }

    fn run(mut self) {
        memory::keep_own_books();
        loop {
            let sent = self.tell();
            let beat = self.beat.zip(self.every).map(|(at, every)| at + every);
            let again = (!sent).then(|| Instant::now() + RETRY);
            match beat.into_iter().chain(again).min() {
                Some(at) => {
                    std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
                }
                None => std::thread::park(),
            }
        }
    }

    /// Sends what is new; `false` if it could not be sent.
    fn tell(&mut self) -> bool {
        let health = self.engine.health();
        let status = self.engine.health.status(&health);
        let ready = self.engine.health.is_announced();
        let now = Instant::now();
        let mut states = Vec::new();
        if ready && !self.ready {
            states.push(NotifyState::Ready);
        }
        if health.shutting_down && !self.stopping {
            states.push(NotifyState::Stopping);
        }
        let is_news = status != self.status && (ready || !health.ready);
        if is_news {
            states.push(NotifyState::Status(&status));
        }
        let is_due = |every| self.beat.is_none_or(|at| now.duration_since(at) >= every);
        let beats = self.every.is_some_and(is_due);
        if beats && health.alive {
            states.push(NotifyState::Watchdog);
        }
        if !states.is_empty() && sd_notify::notify(&states).is_err() {
            self.beat = beats.then_some(now).or(self.beat);
            return false;
        }
        if beats {
            self.beat = Some(now);
        }
        (self.ready, self.stopping) = (ready, health.shutting_down);
        if is_news {
            self.status = status;
        }
        true
    }
}

impl super::Shared {
    /// One line for people: without figures that change all the time, and without anything of a request but its
    /// route.
    fn status(&self, health: &Health) -> String {
        let why = self.why.read().clone();
        let headline = why.map(|why| why.headline());
        let why = headline.or_else(|| health.reason.clone());
        match (health.shutting_down, health.ready, health.alive, why) {
            (true, ..) => "shutting down".to_owned(),
            (_, true, ..) => "ready".to_owned(),
            (_, _, true, Some(why)) => format!("not ready: {why}"),
            (_, _, true, None) => "not ready".to_owned(),
            (.., why) => format!("not alive: {}", why.unwrap_or_default()),
        }
    }
}
