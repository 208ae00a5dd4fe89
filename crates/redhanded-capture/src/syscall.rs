//! A system call as the kernel reports it.

use crate::sys;
use std::fmt;

/// A system call that a thread is blocked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Syscall {
    /// Its number on this platform.
    pub number: i64,
    /// Its six argument registers; those beyond its arity are garbage.
    pub args: [u64; 6],
}

impl Syscall {
    /// A call with its arguments, for tests and replays.
    pub fn new(number: i64, args: [u64; 6]) -> Self {
        Self { number, args }
    }

    /// Its name, such as `futex`; `unknown` for one that is not in the table. [`Display`](fmt::Display) gives the number then.
    pub fn name(&self) -> &'static str {
        sys::syscall_name(self.number).unwrap_or("unknown")
    }
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sys::syscall_name(self.number) {
            Some(name) => f.write_str(name),
            None => write!(f, "syscall_{}", self.number),
        }
    }
}
