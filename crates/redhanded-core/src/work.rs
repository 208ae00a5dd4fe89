//! ① What is no tower request and is watched all the same: jobs, and requests of other frameworks.

use crate::baseline::Tag;
use crate::copied::kind;
use crate::engine::{Engine, nanos};
use crate::keep;
use crate::registry::{Kind, Place};
use crate::ticket::Ticket;
use crate::worker::Worker;
use pin_project_lite::pin_project;
use redhanded_report::How;
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Bytes that are kept of a job's name, of a parameter's name and of its value.
const NAME_BYTES: usize = 128;
const KEY_BYTES: usize = 64;
const VALUE_BYTES: usize = 256;

/// What is said of some work before it runs.
#[derive(Debug)]
struct Work {
    engine: Option<&'static Engine>,
    /// What its rule is looked up by.
    route: String,
    facts: Vec<(Kind, Vec<u8>)>,
    slow_after: Option<Duration>,
    long_lived: bool,
}

impl Work {
    fn new(engine: Option<&'static Engine>, route: impl Into<String>) -> Self {
        Self {
            engine,
            route: route.into(),
            facts: Vec::new(),
            slow_after: None,
            long_lived: false,
        }
    }

    fn fact(&mut self, kind: Kind, bytes: &[u8], limit: usize) {
        self.facts
            .push((kind, bytes.get(..limit).unwrap_or(bytes).to_vec()));
    }

    fn open(self) -> Ticket {
        let Some(engine) = self.engine else {
            return Ticket::default();
        };
        let rule = engine.config.rule(&self.route);
        let slow_after = self.slow_after.or(rule.slow_after);
        let long_lived = self.long_lived || rule.long_lived;
        engine.open_sampled(slow_after.map(nanos), |slot, writer| {
            if long_lived {
                slot.set_stage(crate::registry::Stage::LongLived);
            }
            for (of, bytes) in &self.facts {
                writer.put(*of, bytes, bytes.len());
                match *of {
                    kind::HTTPS => slot.set_https(),
                    kind::TRACEPARENT => keep::decide(slot, bytes),
                    _ => {}
                }
            }
            Some(Tag::of(&self.route))
        })
    }

    fn watch<F: Future>(self, future: F) -> Watched<F> {
        Watched {
            inner: future,
            ticket: self.open(),
        }
    }
}

/// A background job: a queue worker's message, a cron run. Made by [`Job::new`], runs by [`Job::run`].
#[derive(Debug)]
#[must_use = "a job is watched while it runs"]
pub struct Job(Work);

impl Job {
    /// A job called `name` (128 bytes of it are kept) that `engine` watches; without one it runs
    /// unwatched.
    pub fn new(engine: Option<&'static Engine>, name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        let mut work = Work::new(engine, name);
        work.fact(kind::JOB, name.as_bytes(), NAME_BYTES);
        Self(work)
    }

    /// What this job is about; in reports as `params.job`. Kept are 64 bytes of the name and 256 of
    /// the value, 1 KiB in all. Secret names are redacted.
    pub fn param(mut self, name: impl AsRef<str>, value: impl Display) -> Self {
        let name = name.as_ref();
        let name = &name[..name.floor_char_boundary(KEY_BYTES)];
        let value = value.to_string();
        let mut pair = vec![name.len() as u8];
        pair.extend_from_slice(name.as_bytes());
        pair.extend_from_slice(&value.as_bytes()[..value.floor_char_boundary(VALUE_BYTES)]);
        self.0.fact(kind::PARAM, &pair, usize::MAX);
        self
    }

    /// Another threshold for this run. Zero is taken as one millisecond.
    pub fn slow_after(mut self, slow_after: Duration) -> Self {
        self.0.slow_after = Some(slow_after.max(Duration::from_millis(1)));
        self
    }

    /// It may rest for hours: overdue only when one of its polls does not return.
    pub fn long_lived(mut self) -> Self {
        self.0.long_lived = true;
        self
    }

    /// Runs `future` as this job: watched from now until it is done or dropped.
    pub fn run<F: Future>(self, future: F) -> Watched<F> {
        self.0.watch(future)
    }

    /// Runs `work` on this thread as this job, as one poll that is watched until it returns.
    pub fn run_blocking<R>(self, work: impl FnOnce() -> R) -> R {
        let mut ticket = self.0.open();
        Worker::here_blocking();
        let inside = ticket.enter();
        let result = work();
        inside.leave();
        ticket.end(How::Completed);
        result
    }
}

/// A request that came by another way than a tower service. Made by [`Asked::new`], runs by
/// [`Asked::run`].
#[derive(Debug)]
#[must_use = "a request is watched while it runs"]
pub struct Asked(Work);

impl Asked {
    /// A request for `target` (path and query as they were sent; 512 bytes are kept) that `engine`
    /// watches; without one it runs unwatched.
    pub fn new(engine: Option<&'static Engine>, method: &str, target: &str) -> Self {
        let path = target.split('?').next().unwrap_or(target);
        let mut work = Work::new(engine, path);
        work.fact(kind::METHOD, method.as_bytes(), 32);
        work.fact(kind::TARGET, target.as_bytes(), 512);
        Self(work)
    }

    /// The route that matched, such as `/users/{id}`: names its parameters in reports, and is what
    /// its rule is looked up by.
    pub fn route(mut self, route: impl AsRef<str>) -> Self {
        let route = route.as_ref();
        self.0.fact(kind::ROUTE, route.as_bytes(), 128);
        self.0.route = route.to_owned();
        self
    }

    /// The host that was asked, as in the `Host` header.
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.0.fact(kind::HOST, host.as_ref(), 128);
        self
    }

    /// A header; kept if the install allows it, or needs it (`host`, `x-request-id`, `traceparent`).
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        match name.to_ascii_lowercase().as_str() {
            "host" => return self.host(value),
            "x-request-id" => self.0.fact(kind::REQUEST_ID, value, 64),
            "traceparent" => self.0.fact(kind::TRACEPARENT, value, 64),
            name => {
                let allowed = self.0.engine.map(|engine| engine.config.headers.as_slice());
                let index = allowed.and_then(|names| names.iter().position(|n| n == name));
                if let Some(index) = index.and_then(|index| u8::try_from(index).ok()) {
                    self.0.fact(kind::HEADER.saturating_add(index), value, 256);
                }
            }
        }
        self
    }

    /// The address of the client.
    pub fn client(mut self, client: SocketAddr) -> Self {
        self.0
            .fact(kind::CLIENT, &crate::copied::client_bytes(client), 18);
        self
    }

    /// It came over TLS.
    pub fn https(mut self) -> Self {
        self.0.fact(kind::HTTPS, &[], 0);
        self
    }

    /// Another threshold for this request. Zero is taken as one millisecond.
    pub fn slow_after(mut self, slow_after: Duration) -> Self {
        self.0.slow_after = Some(slow_after.max(Duration::from_millis(1)));
        self
    }

    /// It may rest for hours: overdue only when one of its polls does not return.
    pub fn long_lived(mut self) -> Self {
        self.0.long_lived = true;
        self
    }

    /// Runs `future` as this request: watched from now until it is done or dropped. What it becomes
    /// is the response; its body is not watched.
    pub fn run<F: Future>(self, future: F) -> Watched<F> {
        self.0.watch(future)
    }
}

pin_project! {
    /// A future that is watched until it is done or dropped; made by [`Job::run`] and [`Asked::run`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Watched<F> {
        #[pin]
        inner: F,
        ticket: Ticket,
    }
}

impl<F: Future> Future for Watched<F> {
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
