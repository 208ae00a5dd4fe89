//! Connections that wait to be accepted.

use super::fd;
use super::peer::TcpInfo;
use crate::AcceptQueue;

pub(crate) fn accept_queue(socket: i32) -> Option<AcceptQueue> {
    if fd::int_option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? == 0 {
        return None;
    }
    tcp(socket).or_else(|| any(socket))
}

fn tcp(socket: i32) -> Option<AcceptQueue> {
    let info = TcpInfo::of(socket)?;
    Some(AcceptQueue {
        waiting: info.accept_queue(),
        limit: Some(info.accept_queue_limit()),
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
