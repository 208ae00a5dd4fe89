//! One body for every way a body can go, in both directions.

use crate::ON_PURPOSE;
use crate::gate::Gate;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// What the next poll of a body does.
#[derive(Debug)]
enum Step {
    Data(Bytes),
    Trailers,
    Pause(Duration),
    Fail,
    Panic,
    /// Tells the gate, and never ends.
    Hang(Gate),
    /// Tells the gate, and gives data for ever.
    Flood(Gate),
}

/// A body that goes step by step.
#[derive(Debug, Default)]
pub struct Frames {
    steps: VecDeque<Step>,
    exact: bool,
    /// Says at its last frame that it was the last.
    tells_end: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Frames {
    /// No body: of length zero, and it says so.
    pub fn empty() -> Self {
        Self {
            exact: true,
            tells_end: true,
            ..Self::default()
        }
    }

    /// A body of a known length in one frame.
    pub fn whole(bytes: usize) -> Self {
        Self::empty().and(bytes)
    }

    /// A body whose length nobody knows, empty as yet.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// A body of known length that does not say which frame is the last.
    pub fn exact() -> Self {
        Self {
            exact: true,
            ..Self::default()
        }
    }

    /// A body that does not say how long it is, but which frame is the last; empty as yet.
    pub fn over() -> Self {
        Self {
            tells_end: true,
            ..Self::default()
        }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// One more frame; none of zero bytes.
    #[must_use]
    pub fn and(self, bytes: usize) -> Self {
        if bytes == 0 {
            return self;
        }
        self.step(Step::Data(Bytes::from(vec![b'x'; bytes])))
    }

    /// `frames` frames of `bytes` bytes, each after a pause unless that is zero.
    #[must_use]
    pub fn in_frames(mut self, frames: u64, bytes: usize, pause: Duration) -> Self {
        for _ in 0..frames {
            if !pause.is_zero() {
                self = self.step(Step::Pause(pause));
            }
            self = self.and(bytes);
        }
        self
    }

    /// Trailers.
    #[must_use]
    pub fn and_trailers(self) -> Self {
        self.step(Step::Trailers)
    }

    /// Then it fails.
    #[must_use]
    pub fn and_fails(self) -> Self {
        self.step(Step::Fail)
    }

    /// Then it panics.
    #[must_use]
    pub fn and_panics(self) -> Self {
        self.step(Step::Panic)
    }

    /// Then it hangs, and tells `gate` so.
    #[must_use]
    pub fn and_hangs(self, gate: &Gate) -> Self {
        self.step(Step::Hang(gate.clone()))
    }

    /// Then it never stops, and tells `gate` so.
    #[must_use]
    pub fn and_floods(self, gate: &Gate) -> Self {
        self.step(Step::Flood(gate.clone()))
    }

    fn bytes(&self) -> u64 {
        let bytes = |step: &Step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        };
        self.steps.iter().map(bytes).sum()
    }
}

type Polled = Poll<Option<io::Result<Frame<Bytes>>>>;

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Trailers) => {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-sum", http::HeaderValue::from_static("42"));
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(Step::Pause(pause)) => self.sleep = Some(Box::pin(tokio::time::sleep(pause))),
                Some(Step::Fail) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
                }
                Some(Step::Panic) => std::panic::panic_any(ON_PURPOSE),
                Some(Step::Hang(gate)) => {
                    gate.arrive();
                    // A poll that nobody asks for must not end it.
                    self.steps
                        .push_front(Step::Pause(Duration::from_secs(3600)));
                }
                Some(Step::Flood(gate)) => {
                    gate.arrive();
                    self.steps.push_front(Step::Flood(Gate::default()));
                    let data = Bytes::from(vec![b'f'; 16 << 10]);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact {
            SizeHint::with_exact(self.bytes())
        } else {
            SizeHint::default()
        }
    }
}
