//! ① The children of a request: tasks, futures in a set, closures on the blocking pool.
//!
//! A child has a slot of its own, so that the watchdog can ask it where it is; what is found stands
//! in the report of its request. One that outlives its request goes on by itself, and is caught only
//! when one of its polls does not return.

use crate::copied::kind;
use crate::engine::Engine;
use crate::family;
use crate::registry::{Place, Slot};
use crate::ticket::Ticket;
use crate::worker::Worker;
use pin_project_lite::pin_project;
use redhanded_capture::monotonic_ns;
use redhanded_report::How;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// What a child is called, and where it was made.
struct Birth<'a> {
    name: &'a str,
    at: &'static Location<'static>,
    blocking: bool,
}

/// A ticket for a child of the request that this thread polls; empty outside of one.
fn open(birth: &Birth<'_>) -> Ticket {
    let current = Worker::known().and_then(Worker::current_slot);
    let Some(parent) = current.map(family::request_of) else {
        return Ticket::default();
    };
    let Some(engine) = Engine::of(parent.key) else {
        return Ticket::default();
    };
    let generation = parent.hand.generation();
    let ticket = engine.open_with(Some(parent.slow_after_ns()), |slot, facts| {
        slot.set_child(parent.key, generation);
        let at = format!(
            "{}:{}:{}",
            birth.at.file(),
            birth.at.line(),
            birth.at.column()
        );
        let what = if birth.blocking {
            kind::CLOSURE
        } else {
            kind::TASK
        };
        facts.put(what, birth.name.as_bytes(), 128);
        facts.put(kind::SPAWNED_AT, at.as_bytes(), 256);
        facts.put_all(&parent.facts);
    });
    if let Some((key, of)) = ticket.identity() {
        let is_live = |key, generation| family::slot_of(key, generation).is_some();
        parent.extra(generation, |extra| extra.add_child(key, of, is_live));
    }
    ticket
}

pin_project! {
    /// A future that works for a request; made by [`attach`] and [`spawn`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Child<F> {
        #[pin]
        inner: F,
        ticket: Ticket,
    }
}

impl<F: Future> Future for Child<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let place = Place::of(&*this.inner);
        let output = ready!(this.ticket.poll(cx, place, |cx| this.inner.poll(cx)));
        this.ticket.end(How::Completed);
        Poll::Ready(output)
    }
}

/// Makes `future` a child of the request that this thread polls now, wherever it is polled later.
/// Outside of a request the future runs unwatched.
#[track_caller]
pub fn attach<F: Future>(future: F) -> Child<F> {
    let birth = Birth {
        name: "",
        at: Location::caller(),
        blocking: false,
    };
    Child {
        inner: future,
        ticket: open(&birth),
    }
}

/// Spawns `future` on the current tokio runtime as a child of the request that this thread polls now.
///
/// # Panics
///
/// Outside of a tokio runtime, as `tokio::spawn` does.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(attach(future))
}

/// Runs `work` on the blocking pool of the current tokio runtime as a child, called `name`, of the
/// request that this thread polls now.
///
/// # Panics
///
/// Outside of a tokio runtime, as `tokio::task::spawn_blocking` does.
#[track_caller]
pub fn spawn_blocking<R: Send + 'static>(
    name: impl AsRef<str>,
    work: impl FnOnce() -> R + Send + 'static,
) -> JoinHandle<R> {
    let birth = Birth {
        name: name.as_ref(),
        at: Location::caller(),
        blocking: true,
    };
    let mut ticket = open(&birth);
    let engine = ticket.identity().and_then(|(key, _)| Engine::of(key));
    let place = engine.map(|engine| engine.closures.queue(monotonic_ns()));
    tokio::task::spawn_blocking(move || {
        drop(place);
        if ticket.identity().is_none() {
            return work();
        }
        Worker::here_blocking();
        let inside = ticket.enter();
        let result = work();
        inside.leave();
        ticket.end(How::Completed);
        result
    })
}

/// What the slot of a child says of it: its name, where it was made, and whether it blocks.
pub(crate) struct Born {
    pub(crate) name: Option<String>,
    pub(crate) at: Option<String>,
    pub(crate) blocking: bool,
}

impl Born {
    pub(crate) fn of(slot: &Slot) -> Self {
        let facts = slot.facts.read();
        let find = |wanted| facts.iter().find(|fact| fact.kind == wanted);
        let text = |fact: &crate::registry::Fact| {
            Some(crate::redact::printable::from_bytes(&fact.bytes)).filter(|text| !text.is_empty())
        };
        let closure = find(kind::CLOSURE);
        Self {
            name: closure.or(find(kind::TASK)).and_then(text),
            at: find(kind::SPAWNED_AT).and_then(text),
            blocking: closure.is_some(),
        }
    }
}
