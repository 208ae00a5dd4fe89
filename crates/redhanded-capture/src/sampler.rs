//! The watchdog's tool: one object that can look at any registered thread.

use crate::{Abilities, Activity, NoStack, RawStack, Reach, Sample, SocketSeen, Thread, sys};
use std::fmt;
use std::time::Duration;

/// Looks at threads. One per watchdog; several may live in one process and take turns at the signal.
pub struct Sampler {
    engine: sys::Engine,
    asked: u64,
}

impl Sampler {
    /// Makes ready: finds the loaded modules and installs the `SIGURG` handler if this process has none of ours yet.
    ///
    /// Cannot fail: what is not possible here is told by [`Sampler::abilities`] and as [`NoStack`].
    pub fn new() -> Self {
        Self {
            engine: sys::Engine::new(),
            asked: 0,
        }
    }

    /// What works in this process now.
    ///
    /// ```
    /// let abilities = redhanded_capture::Sampler::new().abilities();
    /// if let Err(reason) = abilities.running_threads {
    ///     eprintln!("no stacks of running threads: {reason}");
    /// }
    /// ```
    pub fn abilities(&self) -> Abilities {
        self.engine.abilities()
    }

    /// Looks at a thread without touching it; costs 5 to 10 µs.
    pub fn activity(&mut self, thread: &Thread) -> Activity {
        self.engine.activity(&thread.0)
    }

    /// Takes the thread's stack: without a signal if it is blocked, with one if it runs.
    ///
    /// Waits for at most `deadline` for a running thread to answer. A blocked thread is answered at once.
    ///
    /// # Errors
    /// [`NoStack`] says why there is none; the thread is unharmed in each case.
    pub fn sample(&mut self, thread: &Thread, deadline: Duration) -> Result<Sample, NoStack> {
        self.asked += 1;
        self.engine.sample(&thread.0, deadline)
    }

    /// How often a stack was asked for. Each time may have taken as long as its deadline.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Turns return addresses, as in [`Leaf::ips`](crate::Leaf::ips), into frames with function starts and modules.
    ///
    /// The stack says `complete: true`; whether the chain was, the giver of the addresses knows.
    pub fn locate(&mut self, ips: &[usize]) -> RawStack {
        self.engine.locate(ips)
    }

    /// What the future of `size` bytes at `address` holds, and all that it has boxed.
    ///
    /// The memory is read as data and may be gone: then there is less, and nothing worse. Costs a
    /// microsecond an object. Empty where memory cannot be read.
    pub fn reach(&mut self, address: usize, size: usize) -> Reach {
        self.engine.reach(address, size)
    }

    /// The sockets that other tasks wait for which share something with a future, such as the two ends of a channel:
    /// how a pooled or a multiplexed connection is found. `words` are what the future refers to. Tasks in `not` are left
    /// out: the future's own, first, and those that wait for hosts on their own account. `vtable` is that of its waker.
    ///
    /// For tokio's runtimes on Linux; elsewhere, and with more than 256 registered sockets, nothing is found.
    pub fn sockets_of_tasks(&mut self, words: &[u64], not: &[u64], vtable: u64) -> Vec<SocketSeen> {
        self.engine.sockets_of_tasks(words, not, vtable)
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("abilities", &self.abilities())
            .finish()
    }
}
