//! Stacks of running threads, blocked threads and waiting futures, taken from inside a production process without harming it.
//!
//! A watchdog thread asks three questions about a request that does not end, each with the gentlest tool that answers it:
//!
//! | the request … | tool | what it costs the target |
//! |---|---|---|
//! | runs | [`Sampler::sample`]: a signal whose handler copies registers and 64 KiB of stack | a pause of some 10 µs |
//! | blocks its thread | [`Sampler::sample`]: `/proc` and a read of our own memory, no signal | nothing |
//! | waits as a future | [`capture_poll`]: one poll with a waker that notes who clones it | one extra poll |
//! | waits for what another holds | [`Sampler::reach`]: the memory of futures, read as data | some 10 µs a future, and nothing of it |
//! | waits for a host | [`sockets_behind`]: what its leaf had at hand, looked up in the epoll sets | 1 µs a registered socket |
//! | waits for a task that has the host | [`sockets_to`]: who else has a connection to a known host | 1 µs a descriptor |
//!
//! Stacks come back as addresses ([`RawStack`]); names are looked up later and elsewhere ([`Symbolizer`]).
//! Linux on `x86_64` can do everything. Elsewhere what is missing says so ([`Sampler::abilities`], [`NoStack`]); nothing else changes.
//!
//! ```
//! use redhanded_capture::{Sampler, Symbolizer, Thread};
//! use std::time::Duration;
//!
//! let (send, receive) = std::sync::mpsc::channel();
//! std::thread::spawn(move || {
//!     send.send(Thread::current()).unwrap();
//!     std::thread::sleep(Duration::from_secs(5));
//! });
//! let thread = receive.recv().unwrap();
//!
//! match Sampler::new().sample(&thread, Duration::from_millis(100)) {
//!     Ok(sample) => {
//!         for frame in Symbolizer::new().symbolize(&sample.stack) {
//!             eprintln!("{}", frame.function.as_deref().unwrap_or("?"));
//!         }
//!     }
//!     Err(reason) => eprintln!("no stack: {reason}"),
//! }
//! ```

mod accept;
pub mod alloc;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod arch;
mod clock;
mod leaf;
mod names;
mod outlook;
mod quick;
mod raw;
mod reach;
#[cfg(unix)]
mod recorder;
mod sampler;
mod sockets;
mod symbols;
mod sys;
mod syscall;
mod thread;
mod url_marks;
mod wait;
mod waiting;

pub use accept::{AcceptQueue, accept_queue};
pub use clock::{monotonic_ns, suspended_ns, thread_cpu_ns};
pub use leaf::{classify_leaf, futures_of, trim_await};
pub use outlook::{Outlook, outlook};
pub use quick::{quick_ns, tune_quick_ns};
pub use raw::{Abilities, Activity, Module, NoStack, RawFrame, RawStack, Sample};
pub use reach::{Object, Reach};
#[cfg(unix)]
pub use recorder::map_words;
pub use sampler::Sampler;
pub use sockets::{ConnectionSeen, SocketSeen, sockets_behind, sockets_to};
pub use symbols::Symbolizer;
pub use syscall::Syscall;
pub use thread::Thread;
pub use url_marks::UrlMarks;
pub use wait::{SleepsOn, any_waits_for_a_peer, peer_of, sleeps_on, waits_for};
pub use waiting::{Leaf, LeafKind, PollOutcome, Waiting, capture_poll, original};
