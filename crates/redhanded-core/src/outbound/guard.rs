//! A guard for calls of any client: a driver, a cache, a mailer.

use super::Call;
use crate::calls::{Authority, CallPhase};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A call that is about to be made: its kind, whom it is for, and what it asks.
///
/// Whether it is made for a request, and for which, is seen when it runs. Its phases are not told by
/// the client, so they are concluded from the process's sockets and from the names on its stack, and
/// reports mark them so.
#[derive(Clone, Debug)]
#[must_use = "nothing is called before it runs"]
pub struct Outbound {
    kind: Cow<'static, str>,
    peer: String,
    what: Option<String>,
}

impl Outbound {
    /// A call of some `kind` (`postgres`, `redis`, `smtp`, …) to `peer`: `db1:5432`, or a URL, of which
    /// only host and port are kept.
    pub fn new(kind: impl Into<Cow<'static, str>>, peer: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            peer: peer.into(),
            what: None,
        }
    }

    /// The statement that is run. 512 bytes of it are kept. Passwords and the values of keys that look
    /// secret are redacted; a secret that stands in it without a telling name is not: use parameters.
    pub fn statement(mut self, statement: impl Into<String>) -> Self {
        self.what = Some(statement.into());
        self
    }

    /// The key, queue or recipient that is asked for; as with [`statement`](Self::statement).
    pub fn key(self, key: impl Into<String>) -> Self {
        self.statement(key)
    }

    /// Without a phase nobody tells any.
    fn begin(&self, phase: Option<CallPhase>) -> Call {
        let (kind, what) = (self.kind.clone(), self.what.clone());
        let peer = Authority::parse(&self.peer);
        Call::new(kind, peer, what, phase, phase.is_some())
    }

    /// Runs `future` as this call, from its first poll until it is done or dropped. Done is good, whatever it gives;
    /// see [`try_run`](Self::try_run).
    pub fn run<F: Future>(self, future: F) -> Calling<F> {
        self.call(future)
    }

    /// The same for a future that may fail: its errors are counted for the host.
    pub fn try_run<F, T, E>(self, future: F) -> Calling<F, Fallible>
    where
        F: Future<Output = Result<T, E>>,
        E: Error + 'static,
    {
        self.call(future)
    }

    fn call<F, E>(self, future: F) -> Calling<F, E> {
        Calling {
            inner: future,
            asked: self,
            call: None,
            ending: PhantomData,
        }
    }

    /// Runs `work` on this thread as this call: for sync drivers, within
    /// [`spawn_blocking`](crate::spawn_blocking).
    pub fn run_blocking<R>(self, work: impl FnOnce() -> R) -> R {
        let call = self.begin(None);
        let result = call.within(work);
        call.finish();
        result
    }

    /// The same for work that may fail: its errors are counted for the host.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn try_run_blocking<T, E: Error + 'static>(
        self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let call = self.begin(None);
        let result = call.within(work);
        Fallible::end(call, &result);
        result
    }

    /// Waits for a connection of a pool to this host, and holds it: who waits meanwhile for another is
    /// told who has it.
    pub fn acquire<F, T, E>(self, future: F) -> Acquiring<F>
    where
        F: Future<Output = Result<T, E>>,
        E: Error + 'static,
    {
        Acquiring {
            inner: future,
            asked: self,
            call: None,
        }
    }
}

/// How a call ends that has run: by what it gave.
pub trait Ending<O> {
    /// Ends it.
    fn end(call: Call, output: &O);
}

/// Whatever it gives is good.
#[derive(Clone, Copy, Debug)]
pub struct Always;

/// An error is a failure.
#[derive(Clone, Copy, Debug)]
pub struct Fallible;

impl<O> Ending<O> for Always {
    fn end(call: Call, _: &O) {
        call.finish();
    }
}

impl<T, E: Error + 'static> Ending<Result<T, E>> for Fallible {
    fn end(call: Call, result: &Result<T, E>) {
        match result {
            Ok(_) => call.finish(),
            Err(error) => call.fail_with(error),
        }
    }
}

pin_project! {
    /// A future that is an outbound call; made by [`Outbound::run`] and [`Outbound::try_run`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Calling<F, E = Always> {
        #[pin]
        inner: F,
        asked: Outbound,
        call: Option<Call>,
        ending: PhantomData<E>,
    }
}

impl<F: Future, E: Ending<F::Output>> Future for Calling<F, E> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let call = this.call.get_or_insert_with(|| this.asked.begin(None));
        let output = ready!(call.within(|| this.inner.poll(cx)));
        if let Some(call) = this.call.take() {
            E::end(call, &output);
        }
        Poll::Ready(output)
    }
}

pin_project! {
    /// A future that waits for a connection of a pool; made by [`Outbound::acquire`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquiring<F> {
        #[pin]
        inner: F,
        asked: Outbound,
        call: Option<Call>,
    }
}

impl<F, T, E> Future for Acquiring<F>
where
    F: Future<Output = Result<T, E>>,
    E: Error + 'static,
{
    type Output = Result<Held<T>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let asked = this.asked;
        let call = this
            .call
            .get_or_insert_with(|| asked.begin(Some(CallPhase::Pool)));
        let output = ready!(call.within(|| this.inner.poll(cx)));
        let call = this.call.take();
        Poll::Ready(match output {
            Ok(inner) => Ok(Held::new(inner, call)),
            Err(error) => {
                if let Some(call) = call {
                    call.fail_with(&error);
                }
                Err(error)
            }
        })
    }
}

/// A connection of a pool, and the note that this request has it.
#[derive(Debug)]
pub struct Held<T> {
    inner: T,
    /// Ends in good order when this is dropped.
    _holding: Option<Holding>,
}

impl<T> Held<T> {
    fn new(inner: T, call: Option<Call>) -> Self {
        let holding = call.map(|call| {
            call.hold();
            Holding(Some(call))
        });
        Self {
            inner,
            _holding: holding,
        }
    }

    /// The connection alone; from now on nobody is told who has it.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[derive(Debug)]
struct Holding(Option<Call>);

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.finish();
        }
    }
}
