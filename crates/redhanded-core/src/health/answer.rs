//! One connection of a health check.

use super::{Ask, agent, http};
use rustix::event::{PollFd, PollFlags};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// What a connection may take from its beginning to its end.
const TIME: Duration = Duration::from_secs(2);
/// What is read of a client that goes on talking after its answer.
const IGNORED: usize = 64 * 1024;

/// More than any answer to a health check.
const LARGE: usize = 16 * 1024;

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Agent,
}

/// A client, from its connection until it has its answer and is gone.
pub(super) struct Connection {
    stream: TcpStream,
    kind: Kind,
    until: Instant,
    stage: Stage,
}

enum Stage {
    /// The head of a request so far.
    Reads(Vec<u8>),
    /// What is left to be written.
    Writes(Vec<u8>, usize),
    /// It has its answer; what it sends besides is ignored. To close before it has read would reset it.
    Ends(usize),
    Over,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, kind: Kind, now: Instant) -> Self {
        Self {
            stream,
            kind,
            until: now + TIME,
            stage: Stage::Reads(Vec::new()),
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Over) || now >= self.until
    }

    pub(super) fn interest(&self) -> PollFd<'_> {
        let flags = match self.stage {
            Stage::Writes(..) => PollFlags::OUT,
            _ => PollFlags::IN,
        };
        PollFd::new(&self.stream, flags)
    }

    /// Whether it keeps an answer in memory that is larger than a health check's.
    pub(super) fn is_large(&self) -> bool {
        matches!(&self.stage, Stage::Writes(answer, _) if answer.len() > LARGE)
    }

    /// Goes on as far as that is possible without waiting; with `may_scrape` also to a large answer.
    pub(super) fn go_on(&mut self, ask: &Ask, may_scrape: bool) {
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Over);
            let (next, more) = match stage {
                // Asked or not, an agent is told.
                Stage::Reads(_) if self.kind == Kind::Agent => (
                    Stage::Writes(agent::line(&(ask.health)()).into_bytes(), 0),
                    true,
                ),
                Stage::Reads(head) => self.read(head, ask, may_scrape),
                Stage::Writes(answer, written) => self.write(answer, written),
                Stage::Ends(ignored) => self.ignore(ignored),
                Stage::Over => (Stage::Over, false),
            };
            self.stage = next;
            if !more {
                return;
            }
        }
    }

    fn read(&mut self, mut head: Vec<u8>, ask: &Ask, may_scrape: bool) -> (Stage, bool) {
        let mut buffer = [0; 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => (Stage::Over, false),
            Ok(n) => {
                head.extend_from_slice(buffer.get(..n).unwrap_or_default());
                match http::parse(&head) {
                    http::Asked::NotYet => (Stage::Reads(head), true),
                    asked => (
                        Stage::Writes(http::answer(&asked, ask, may_scrape), 0),
                        true,
                    ),
                }
            }
            Err(e) => waits(e.kind(), Stage::Reads(head)),
        }
    }

    fn write(&mut self, answer: Vec<u8>, written: usize) -> (Stage, bool) {
        let left = answer.get(written..).unwrap_or_default();
        if left.is_empty() {
            return match self.stream.shutdown(Shutdown::Write) {
                Ok(()) => (Stage::Ends(0), true),
                Err(_) => (Stage::Over, false),
            };
        }
        match self.stream.write(left) {
            Ok(n) => (Stage::Writes(answer, written + n), n > 0),
            Err(e) => waits(e.kind(), Stage::Writes(answer, written)),
        }
    }

    fn ignore(&mut self, ignored: usize) -> (Stage, bool) {
        match self.stream.read(&mut [0; 1024]) {
            Ok(n) if n > 0 && ignored < IGNORED => (Stage::Ends(ignored + n), true),
            Ok(_) => (Stage::Over, false),
            Err(e) => waits(e.kind(), Stage::Ends(ignored)),
        }
    }
}

/// After an error: later, at once, or never.
fn waits(kind: ErrorKind, stage: Stage) -> (Stage, bool) {
    match kind {
        ErrorKind::WouldBlock => (stage, false),
        ErrorKind::Interrupted => (stage, true),
        _ => (Stage::Over, false),
    }
}
