//! Who a thread is: found out once, by itself, and good for as long as it lives.

use crate::sys;

/// The identity of one OS thread: its id, the bounds of its stack, and open descriptors that no other thread can inherit.
///
/// ```
/// let thread = redhanded_capture::Thread::current();
/// assert!(thread.is_alive());
/// ```
#[derive(Debug)]
pub struct Thread(pub(crate) sys::Task);

impl Thread {
    /// Registers the calling thread. Costs some 50 µs: do it once per thread. Never fails; what is missing here is missing later.
    #[cold]
    pub fn current() -> Self {
        Self(sys::Task::current())
    }

    /// The kernel's thread id, `0` where there is none.
    pub fn tid(&self) -> u32 {
        self.0.tid()
    }

    /// Its name now, such as `tokio-rt-worker`.
    pub fn name(&self) -> Option<String> {
        self.0.name()
    }

    /// Whether it still exists. Ids are reused, descriptors are not: a new thread with the same id is not mistaken for it.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// The kernel function it sleeps in, such as `futex_wait_queue`, where the kernel tells.
    pub fn wait_channel(&self) -> Option<String> {
        self.0.wait_channel()
    }
}
