//! The watchdog's tool: one object that can look at any registered thread.

use crate::{Abilities, Activity, NoStack, RawStack, Sample, Thread, sys};
use std::fmt;
use std::time::Duration;

/// Looks at threads. One per watchdog; several may live in one process and take turns at the signal.
pub struct Sampler(sys::Engine);

impl Sampler {
    /// Makes ready: finds the loaded modules and installs the `SIGURG` handler if this process has none of ours yet.
    ///
    /// Cannot fail: what is not possible here is told by [`Sampler::abilities`] and as [`NoStack`].
    pub fn new() -> Self {
        Self(sys::Engine::new())
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
        self.0.abilities()
    }

    /// Looks at a thread without touching it; costs 5 to 10 µs.
    pub fn activity(&mut self, thread: &Thread) -> Activity {
        self.0.activity(&thread.0)
    }

    /// Takes the thread's stack: without a signal if it is blocked, with one if it runs.
    ///
    /// Waits for at most `deadline` for a running thread to answer. A blocked thread is answered at once.
    ///
    /// # Errors
    /// [`NoStack`] says why there is none; the thread is unharmed in each case.
    pub fn sample(&mut self, thread: &Thread, deadline: Duration) -> Result<Sample, NoStack> {
        self.0.sample(&thread.0, deadline)
    }

    /// Turns return addresses, as in [`Leaf::ips`](crate::Leaf::ips), into frames with function starts and modules.
    ///
    /// The stack says `complete: true`; whether the chain was, the giver of the addresses knows.
    pub fn locate(&mut self, ips: &[usize]) -> RawStack {
        self.0.locate(ips)
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
