//! Connections that wait to be accepted.

use super::fd;
use crate::AcceptQueue;

/// Where the kernel's `tcp_info` has what it calls `unacked` and `sacked`: of a listening socket these
/// are the connections that wait, and how many may.
const UNACKED: usize = 24;
const SACKED: usize = 28;

pub(crate) fn accept_queue(socket: i32) -> Option<AcceptQueue> {
    if fd::int_option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? == 0 {
        return None;
    }
    tcp(socket).or_else(|| any(socket))
}

fn tcp(socket: i32) -> Option<AcceptQueue> {
    let (info, length) = fd::option::<32>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    let word = |at: usize| {
        let bytes = info.get(..length)?.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    Some(AcceptQueue {
        waiting: word(UNACKED)?,
        limit: Some(word(SACKED)?),
    })
}

/// Whether any connection waits is all that other sockets tell.
fn any(socket: i32) -> Option<AcceptQueue> {
    let mut asked = libc::pollfd {
        fd: socket,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which is ours to write; with a timeout of zero it does not wait. A closed descriptor is reported in the entry.
    let ready = unsafe { libc::poll(&raw mut asked, 1, 0) };
    (ready >= 0 && asked.revents & libc::POLLNVAL == 0).then(|| AcceptQueue {
        waiting: u32::from(asked.revents & libc::POLLIN != 0),
        limit: None,
    })
}
