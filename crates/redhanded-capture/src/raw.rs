//! What a look at a thread brings back, before anything has a name.

use crate::Syscall;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One sample of a thread: how it was taken and what it showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The thread was running: a signal took the stack. `false`: it was blocked and was not touched.
    pub on_cpu: bool,
    /// The system call it is blocked in; `None` when it runs, or is blocked outside of one (a page fault).
    pub syscall: Option<Syscall>,
    /// Its call stack.
    pub stack: RawStack,
    /// Of a blocked thread: what it has at hand where it sleeps, its call's arguments and the words of its innermost
    /// frames that may be pointers, in no order.
    pub near: Vec<u64>,
}

/// A call stack of addresses, innermost frame first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawStack {
    /// The frames; inlined functions are not told apart yet.
    pub frames: Vec<RawFrame>,
    /// The outermost frame was reached. `false`: deeper than what is copied, or it could not be followed further.
    pub complete: bool,
}

/// One frame of a [`RawStack`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFrame {
    /// The address to look up: the instruction itself in the innermost frame, the last byte of the call in all others.
    pub address: u64,
    /// First instruction of its function, from the unwind tables: the same for every sample inside one function.
    pub function: Option<u64>,
    /// The executable or library it lies in.
    pub module: Option<Arc<Module>>,
    /// Its stack pointer: what lies at this address or above belongs to it or to its callers. `None` in an await stack.
    pub sp: Option<u64>,
}

impl RawFrame {
    /// The address relative to its module's load bias: equal across restarts of one build.
    pub fn offset(&self) -> Option<u64> {
        self.module
            .as_ref()
            .map(|module| self.address.wrapping_sub(module.bias))
    }
}

/// An executable or library in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Module {
    /// File name without its folders, such as `libc.so.6`.
    pub name: String,
    /// Path as the kernel knows it, without its mark for a deleted file.
    pub path: PathBuf,
    /// GNU build-id in lower-case hex.
    pub build_id: Option<String>,
    /// What was added to the file's addresses when it was loaded.
    pub bias: u64,
    /// The executable itself, not a library.
    pub is_main: bool,
}

/// A cheap look at a thread, taken without touching it. Absent means not observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Scheduler state as in `ps`: `R` runs or could run, `S` and `D` are blocked, `T` is stopped.
    pub state: Option<char>,
    /// The system call it is blocked in.
    pub syscall: Option<Syscall>,
    /// CPU time since it began, in nanoseconds. Stands still for tens of milliseconds on a busy machine.
    pub cpu_ns: Option<u64>,
    /// Time it could have run but had no CPU, since it began, in nanoseconds.
    pub run_queue_wait_ns: Option<u64>,
    /// How often it was put on a CPU: unchanged and blocked means that it never ran in between.
    pub timeslices: Option<u64>,
}

/// What can be observed in this process; each `Err` says in plain words why not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abilities {
    /// Stacks of threads on the CPU.
    pub running_threads: Result<(), String>,
    /// Stacks of threads blocked in the kernel.
    pub blocked_threads: Result<(), String>,
    /// Stacks of waiting futures.
    pub waiting_futures: Result<(), String>,
    /// The host behind the socket that a thread waits for.
    pub peers: Result<(), String>,
}

/// Why there is no stack. None of these does harm, and all but [`NoStack::Unsupported`] may be gone at the next try.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoStack {
    /// The thread has ended.
    Gone,
    /// It did not answer in time: it has the signal blocked, waits for a CPU, or another capture is going on.
    Busy,
    /// The application has installed a `SIGURG` handler of its own over ours.
    SignalTaken,
    /// Its stack pointer is outside of its stack: a coroutine, or a signal handler with a stack of its own.
    OutOfBounds,
    /// It kept changing between running and blocked.
    Moved,
    /// Its stack memory could not be read.
    Unreadable,
    /// This process or platform does not let us look; the reason in plain words.
    Unsupported(String),
}

impl fmt::Display for NoStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the thread has ended"),
            Self::Busy => f.write_str("the thread did not answer in time"),
            Self::SignalTaken => f.write_str("the application uses SIGURG itself"),
            Self::OutOfBounds => f.write_str("the thread was not on its own stack"),
            Self::Moved => f.write_str("the thread kept changing between running and blocked"),
            Self::Unreadable => f.write_str("the thread's stack could not be read"),
            Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for NoStack {}
