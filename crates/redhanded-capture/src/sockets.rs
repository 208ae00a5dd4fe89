//! Which hosts a waiting future may wait for, as far as the process's own sockets tell.
//!
//! A runtime registers each socket with its epoll set under a number that finds its own record again; tokio takes the
//! record's address. The kernel lists descriptors and numbers. A leaf that registers a waker with a socket has that
//! address at hand: what it has at hand ([`Leaf::words`](crate::Leaf::words)) and what the kernel lists meet in the socket.

use crate::sys;
use redhanded_report::Peer;
use std::net::SocketAddr;

/// A socket that a leaf had at hand when it registered its waker.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SocketSeen {
    /// The other end. `phase` is `connect`, `dns` (a datagram socket to port 53) or `write` (what was sent before has
    /// not been taken), else absent; `elapsed_ms` is how long nothing has come, or with `write` gone out, where TCP tells.
    pub peer: Peer,
    /// Bytes that have come and that nobody has read: who waits here does not wait for the other end.
    pub unread_bytes: u32,
    /// Segments with data that came and went since it was connected, the fewer of both: about as often it was asked and
    /// answered. Zero where the kernel does not tell.
    pub rounds: u32,
}

/// Finds the connected sockets that these words point to; more than one if the leaf had more than one at hand.
///
/// Right for runtimes on Linux that use epoll with the addresses of their records, as tokio does; with others, and on
/// other platforms, nothing is found. A socket that belongs to another task (the pooled connections of hyper, reqwest,
/// tokio-postgres) is not at hand, and so is not found. Listeners, unconnected sockets, pairs, pipes, timers do not count.
///
/// Costs 30 µs, and 1 µs more for each registered socket, during half of which new registrations wait for the kernel's lock. So it
/// finds nothing where the process has more than 8192 descriptors, and with more than 1000 sockets it spends at most a
/// hundredth of the time, and finds nothing in between. Ask soon after the poll, and check afterwards that the future has
/// not been polled since: a socket that was closed is not found, but its record's address may be used again.
pub fn sockets_behind(words: &[u64]) -> Vec<SocketSeen> {
    sys::sockets_behind(words)
}

/// A connected socket of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSeen {
    /// The other end.
    pub remote: SocketAddr,
    /// State of TCP, such as `ESTABLISHED`.
    pub state: &'static str,
    /// Since data was last sent, in milliseconds.
    pub sent_ms_ago: u32,
    /// Since data last came, or else since it was connected, in milliseconds.
    pub received_ms_ago: u32,
    /// Bytes that have come and that nobody has read.
    pub unread_bytes: u32,
    /// Segments with data that came and went since it was connected, the fewer of both.
    pub rounds: u32,
    /// It would take more to send.
    pub takes_more: bool,
}

/// Finds the sockets of this process whose other end is one of `remotes`, whoever has them; at most 64.
///
/// For connections that belong to another task (pools of HTTP clients) and so are not at hand where
/// they are waited for. Costs 1 µs a descriptor. Finds nothing where the process has more than 8192
/// descriptors, and on other platforms than Linux.
pub fn sockets_to(remotes: &[SocketAddr]) -> Vec<ConnectionSeen> {
    sys::sockets_to(remotes)
}
