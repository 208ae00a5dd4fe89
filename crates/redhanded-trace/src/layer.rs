//! The layer: each thing that `tracing` says becomes a note in the ring of its request.

use crate::visit::Noting;
use redhanded_core::story::{self, Callsite, Fields, Level, Number, Parent};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Notes the spans and events of each watched request in memory, for its report.
///
/// It is one layer of the application's own stack, at any place in it, over any subscriber. Of two in
/// one stack one notes (in one `Vec` of layers, where they cannot see each other, both do); so does one that no install
/// has made, as long as there is any.
///
/// ```
/// use tracing_subscriber::prelude::*;
/// let stack = tracing_subscriber::registry().with(redhanded_trace::TraceLayer::new());
/// # tracing::subscriber::with_default(stack, || {});
/// ```
#[derive(Debug)]
pub struct TraceLayer {
    /// Tells its spans from those of another stack, whose ids may be the same.
    salt: u64,
    /// Another one in this stack notes already.
    is_second: AtomicBool,
}

impl Default for TraceLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceLayer {
    /// A layer. Whatever installs there are, before or after it is made: it notes for the requests of
    /// all of them.
    pub fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        Self {
            salt: made.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            is_second: AtomicBool::new(false),
        }
    }

    #[inline]
    fn key(&self, id: &Id) -> u64 {
        (id.into_u64() ^ self.salt).max(1)
    }

    #[inline]
    fn is_silent(&self) -> bool {
        self.is_second.load(Ordering::Relaxed)
    }

    /// What an event or span is in, as it says itself.
    #[inline]
    fn parent(&self, is_contextual: bool, explicit: Option<&Id>) -> Parent {
        match explicit {
            _ if is_contextual => Parent::Current,
            Some(id) => Parent::Of(self.key(id)),
            None => Parent::Root,
        }
    }
}

/// The number of a callsite, which is told once what it is.
#[inline]
fn number(metadata: &'static Metadata<'static>) -> Number {
    story::number(std::ptr::from_ref(metadata).addr(), || describe(metadata))
}

#[cold]
fn describe(metadata: &'static Metadata<'static>) -> Callsite {
    Callsite {
        name: metadata.name(),
        target: metadata.target(),
        level: level(*metadata.level()),
        file: metadata.file(),
        line: metadata.line(),
        fields: metadata.fields().iter().map(|field| field.name()).collect(),
    }
}

fn level(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

impl<S: Subscriber> Layer<S> for TraceLayer {
    fn on_register_dispatch(&self, stack: &Dispatch) {
        let first = stack.downcast_ref::<Self>();
        let is_second = first.is_some_and(|first| !std::ptr::eq(first, self));
        self.is_second.store(is_second, Ordering::Relaxed);
    }

    #[inline]
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if self.is_silent() {
            return;
        }
        let parent = self.parent(span.is_contextual(), span.parent());
        let Some(place) = story::place(parent) else {
            return;
        };
        let mut fields = Fields::new();
        span.record(&mut Noting(&mut fields));
        place.begin(self.key(id), number(span.metadata()), &fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let key = self.key(id);
        if self.is_silent() || !story::knows(key) {
            return;
        }
        let mut fields = Fields::new();
        values.record(&mut Noting(&mut fields));
        story::record(key, &fields);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if !self.is_silent() {
            story::follows(self.key(id), self.key(follows));
        }
    }

    #[inline]
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.is_silent() {
            return;
        }
        let parent = self.parent(event.is_contextual(), event.parent());
        let Some(place) = story::place(parent) else {
            return;
        };
        let mut fields = Fields::new();
        event.record(&mut Noting(&mut fields));
        place.event(number(event.metadata()), &fields);
    }

    #[inline]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if !self.is_silent() {
            story::enter(self.key(id));
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !self.is_silent() {
            story::exit(self.key(id));
        }
    }

    #[inline]
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if !self.is_silent() {
            story::end(self.key(&id));
        }
    }
}
