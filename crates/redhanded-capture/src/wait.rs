//! What a thread that is blocked in a system call waits for.
//!
//! A descriptor can be closed and its number reused while we look: ask [`Sampler::activity`](crate::Sampler::activity)
//! before and after, and throw the answer away unless the system call and the count of timeslices are the same. Nothing
//! here blocks, closes or changes a descriptor, so a wrong look is a wrong answer at worst, never harm.

use crate::{Syscall, sys};
use redhanded_report::{Peer, WaitingFor};

/// Whose doing it is that a thread sleeps in a system call, as far as the call tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SleepsOn {
    /// A lock, or another thread, without a time after which it goes on by itself.
    Lock,
    /// Time: it was told to sleep.
    Timer,
    /// A pipe or a terminal of this machine that nobody reads.
    Output,
    /// A socket, or a set of descriptors: somebody else has to send or to read.
    Peer,
    /// What else there is: files, which may be on another machine, children, locks with a timeout.
    Other,
}

/// Says whose doing it is that a thread sleeps in this call.
pub fn sleeps_on(syscall: &Syscall) -> SleepsOn {
    sys::sleeps_on(syscall)
}

/// Whether any thread of this process sleeps in a call on a socket that is connected, or connecting, to somebody: some
/// 10 µs a thread, for up to 1,024 of them. Threads whose name begins with `redhanded-` do not count.
pub fn any_waits_for_a_peer() -> bool {
    sys::any_waits_for_a_peer()
}

/// Says what kind of thing a thread waits for that is blocked in this call.
///
/// `None` if the call is unknown or does not wait. For a descriptor it tells sockets from pipes and files, which are named by path.
/// Every futex is a lock to this function: mutexes, condition variables and std's channels look alike from here.
pub fn waits_for(syscall: &Syscall) -> Option<WaitingFor> {
    sys::waits_for(syscall)
}

/// Names the other end of the socket that a thread waits for, with the kernel's state of the connection.
///
/// `phase` is `connect` or `write` where the call says so, else absent. Works in `SYN_SENT` too.
pub fn peer_of(syscall: &Syscall) -> Option<Peer> {
    sys::peer_of(syscall)
}
