//! ① Listeners, and whether anybody accepts from them.
//!
//! The number of a listening socket is kept, and no second descriptor of it: that would keep its port
//! open after its owner has closed it. It is taken back before the owner closes it, under a lock that
//! the watchdog holds for no longer than a system call takes.

use crate::engine::Engine;
use crate::runtimes;
use parking_lot::Mutex;
use redhanded_capture::{AcceptQueue, accept_queue, monotonic_ns};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// No error.
const NONE: i32 = 0;

/// The listeners of one engine.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    count: AtomicUsize,
    list: Mutex<Vec<Arc<Socket>>>,
}

impl Listeners {
    /// Whether there is any; the watchdog then never sleeps for longer than a second.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn all(&self) -> Vec<Arc<Socket>> {
        self.list.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Socket>>)) {
        let mut list = self.list.lock();
        change(&mut list);
        self.count.store(list.len(), Ordering::SeqCst);
    }
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Socket {
    /// What it listens on, for people.
    pub(crate) name: String,
    number: Mutex<Option<i32>>,
    /// Number of tasks that wait in accept.
    inside: AtomicU32,
    polled_ns: AtomicU64,
    accepted: AtomicU64,
    /// Why the last one failed, as the system's number.
    error: AtomicI32,
    /// The tokio runtime that polled it first.
    runtime: AtomicU64,
}

/// What a listener's owner did last.
#[derive(Clone, Debug)]
pub(crate) struct Doing {
    /// Somebody waits in accept.
    pub(crate) inside: bool,
    /// When accept was polled last, or left; none before it was called for the first time.
    pub(crate) polled_ns: Option<u64>,
    pub(crate) accepted: u64,
    /// Why the last accept failed, if it did.
    pub(crate) error: Option<String>,
    /// The tokio runtime that it belongs to, once that is known.
    pub(crate) runtime: Option<u64>,
}

impl Socket {
    /// What waits there; `None` when it is closed, or the system does not tell.
    pub(crate) fn queue(&self) -> Option<AcceptQueue> {
        // Who holds it closes the socket just now
        let number = self.number.try_lock()?;
        accept_queue((*number)?)
    }

    pub(crate) fn doing(&self) -> Doing {
        let error = self.error.load(Ordering::Relaxed);
        Doing {
            inside: self.inside.load(Ordering::Relaxed) != 0,
            polled_ns: Some(self.polled_ns.load(Ordering::Relaxed)).filter(|ns| *ns != 0),
            accepted: self.accepted.load(Ordering::Relaxed),
            error: (error != NONE).then(|| io::Error::from_raw_os_error(error).to_string()),
            runtime: Some(self.runtime.load(Ordering::Relaxed)).filter(|id| *id != 0),
        }
    }
}

/// A listener that is watched for connections that nobody accepts, until this is dropped: to be
/// done before its socket is closed.
#[derive(Debug)]
pub struct Accepting {
    engine: &'static Engine,
    socket: Arc<Socket>,
}

impl Accepting {
    /// Watches the listening socket with the descriptor `number`, which listens on `name`.
    pub fn new(engine: &'static Engine, name: String, number: Option<i32>) -> Self {
        let socket = Arc::new(Socket {
            name,
            number: Mutex::new(number),
            inside: AtomicU32::new(0),
            polled_ns: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            error: AtomicI32::new(NONE),
            runtime: AtomicU64::new(0),
        });
        engine.listeners.change(|list| list.push(socket.clone()));
        engine.unpark(); // it sleeps otherwise from now on
        Self { engine, socket }
    }

    /// Somebody accepts, until this is dropped.
    pub fn enter(&self) -> InAccept<'_> {
        self.socket.inside.fetch_add(1, Ordering::Relaxed);
        InAccept(&self.socket)
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        *self.socket.number.lock() = None;
        let is_this = |other: &Arc<Socket>| Arc::ptr_eq(other, &self.socket);
        self.engine
            .listeners
            .change(|list| list.retain(|other| !is_this(other)));
    }
}

/// A task that accepts.
#[derive(Debug)]
pub struct InAccept<'a>(&'a Socket);

impl InAccept<'_> {
    /// It is polled.
    #[inline]
    pub fn polled(&self) {
        self.0.polled_ns.store(monotonic_ns(), Ordering::Relaxed);
        if self.0.runtime.load(Ordering::Relaxed) == 0 {
            self.0
                .runtime
                .store(runtimes::here().number, Ordering::Relaxed);
        }
    }

    /// This came of it.
    #[inline]
    pub fn done<T>(&self, result: &io::Result<T>) {
        let error = match result {
            Ok(_) => {
                self.0.accepted.fetch_add(1, Ordering::Relaxed);
                NONE
            }
            Err(error) => error.raw_os_error().unwrap_or(NONE),
        };
        self.0.error.store(error, Ordering::Relaxed);
    }
}

impl Drop for InAccept<'_> {
    fn drop(&mut self) {
        self.0.polled_ns.store(monotonic_ns(), Ordering::Relaxed);
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}
