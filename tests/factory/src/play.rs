//! Who asks what: the client's side of a case.

use redhanded_tests::{Asked, Stall};
use std::time::{Duration, Instant};

/// The file that tells a process with a clock of its own what time it is.
pub(crate) const CLOCK: &str = "clock";

/// What is true of one request of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is to blame, and must be caught.
    Culprit,
    /// It is one of those that hold each other up: some of them must be caught, and none need be
    /// acquitted.
    Either,
    /// It must be caught, and its own client is to blame.
    Bystander,
    /// It is late because of others: it may be reported, and never as the culprit.
    Victim,
    /// It must not be accused, whatever becomes of it.
    Innocent,
}

impl Part {
    /// Whether it is what its case is about.
    pub fn is_caught(self) -> bool {
        matches!(self, Self::Culprit | Self::Either | Self::Bystander)
    }
}

/// A request that was sent.
#[derive(Debug)]
pub struct Sent {
    /// What is true of it.
    pub part: Part,
    /// Path and query: unique in its play.
    pub target: String,
    asked: Asked,
}

impl Sent {
    /// Whether an answer's head comes within `deadline`.
    pub fn is_answered(&mut self, deadline: Duration) -> bool {
        self.asked.status_within(deadline).is_some()
    }

    /// The connection, for clients that go on.
    pub fn asked(&mut self) -> &mut Asked {
        &mut self.asked
    }
}

/// A play under way: what has been sent to the process of a case.
#[derive(Debug)]
pub struct Play<'s> {
    stall: &'s Stall,
    slow_after: Duration,
    workers: usize,
    begun: Instant,
    sent: Vec<Sent>,
}

impl<'s> Play<'s> {
    pub(crate) fn new(stall: &'s Stall, slow_after: Duration, workers: usize) -> Self {
        Self {
            stall,
            slow_after,
            workers,
            begun: Instant::now(),
            sent: Vec::new(),
        }
    }

    pub(crate) fn into_sent(self) -> Vec<Sent> {
        self.sent
    }

    /// When the play began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The threshold of the process.
    pub fn slow_after(&self) -> Duration {
        self.slow_after
    }

    /// Workers of the process; zero is the current thread alone.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The process.
    pub fn stall(&self) -> &'s Stall {
        self.stall
    }

    /// Sends `GET target` on a connection of its own.
    pub fn get(&mut self, part: Part, target: &str) -> &mut Sent {
        self.send(part, "GET", target, &[], b"")
    }

    /// Sends `GET target` that is to blame.
    pub fn culprit(&mut self, target: &str) -> &mut Sent {
        self.get(Part::Culprit, target)
    }

    /// Sends `GET target` that is late because of others.
    pub fn victim(&mut self, target: &str) -> &mut Sent {
        self.get(Part::Victim, target)
    }

    /// Sends `GET target` that must not be accused.
    pub fn innocent(&mut self, target: &str) -> &mut Sent {
        self.get(Part::Innocent, target)
    }

    /// Sends a request with its body, on a connection of its own.
    pub fn send(
        &mut self,
        part: Part,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> &mut Sent {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: shop.example:8080\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let bytes = [head.as_bytes(), body].concat();
        self.raw(part, target, &bytes)
    }

    /// Sends bytes that are a request for `target`, or its beginning, on a connection of their own.
    pub fn raw(&mut self, part: Part, target: &str, bytes: &[u8]) -> &mut Sent {
        let sent = Sent {
            part,
            target: target.to_owned(),
            asked: self.stall.send(bytes),
        };
        self.sent.push(sent);
        let last = self.sent.len() - 1;
        &mut self.sent[last]
    }

    /// Lets time go by, for plays whose order matters and that nothing else can tell.
    pub fn wait(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// Sets the clock of a process whose case needs one of its own: `+1d`, `-2h`, in relation to ours.
    pub fn set_clock(&self, clock: &str) {
        let file = self.stall.dir().join(CLOCK);
        std::fs::write(file, clock).expect("a directory of its own");
    }

    /// Waits until the process has told `key`, and returns what.
    pub fn told(&self, key: &str) -> String {
        self.stall.told(key)
    }
}
