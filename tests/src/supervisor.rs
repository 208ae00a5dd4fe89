//! A service manager as systemd is: it listens, and ends who does not report in time.

use crate::{PATIENCE, Stall, Start, until};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Speaks the notify protocol with one process at a time.
#[derive(Debug)]
pub struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
    told: Vec<(Instant, String)>,
    _dir: tempfile::TempDir,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// One that listens on a socket of its own.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        Self {
            socket,
            path,
            told: Vec::new(),
            _dir: dir,
        }
    }

    /// What systemd puts into the environment of a process that has to report within `watchdog`.
    pub fn environment(&self, watchdog: Option<Duration>) -> Vec<(&'static str, String)> {
        let socket = ("NOTIFY_SOCKET", self.path.display().to_string());
        let within = watchdog.map(|within| ("WATCHDOG_USEC", within.as_micros().to_string()));
        std::iter::once(socket).chain(within).collect()
    }

    /// Starts a process that reports to this, within `watchdog` if that is given.
    pub fn start(&self, start: Start, watchdog: Option<Duration>) -> Stall {
        let environment = self.environment(watchdog).into_iter();
        environment
            .fold(start, |start, (name, value)| start.env(name, value))
            .start()
    }

    /// Everything that was told so far, line by line, and when.
    pub fn told(&mut self) -> &[(Instant, String)] {
        let mut buffer = [0; 4096];
        while let Ok(n) = self.socket.recv(&mut buffer) {
            let now = Instant::now();
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let lines = text.lines().map(|line| (now, line.to_owned()));
            self.told.extend(lines);
        }
        &self.told
    }

    /// Waits until a line is told that begins so, and returns it.
    #[track_caller]
    pub fn hears(&mut self, begin: &str) -> String {
        let found = until(PATIENCE, || {
            let mut lines = self.told().iter().map(|(_, line)| line);
            lines.find(|line| line.starts_with(begin)).cloned()
        });
        found.unwrap_or_else(|| panic!("{begin} should be told: {:?}", self.told))
    }

    /// Whether a line was told.
    pub fn has_heard(&mut self, line: &str) -> bool {
        self.told().iter().any(|(_, told)| told == line)
    }

    /// Whether `WATCHDOG=1` is overdue: none since `since`, and none within `watchdog`.
    pub fn misses(&mut self, since: Instant, watchdog: Duration) -> bool {
        let beats = self.told().iter().filter(|(_, line)| line == "WATCHDOG=1");
        let last = beats.map(|(at, _)| *at).max();
        last.unwrap_or(since).max(since).elapsed() >= watchdog
    }

    /// Ends a process as systemd does whose watchdog has run out, and forgets what it has told.
    #[track_caller]
    pub fn ends(&mut self, stall: &mut Stall) {
        stall.signal(Signal::ABORT);
        let ended = stall.exit_within(PATIENCE);
        assert!(ended.is_some(), "SIGABRT ends it");
        self.told();
        self.told.clear();
    }
}
