//! Connections that wait to be accepted.

use crate::sys;

/// What waits at a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptQueue {
    /// Connections that the kernel has made and nobody has accepted; of a Unix socket 1 stands for any
    /// number.
    pub waiting: u32,
    /// How many may wait; one more and the kernel refuses or ignores clients. Not known of a Unix socket.
    pub limit: Option<u32>,
}

/// How many connections wait at the listening socket with this descriptor.
///
/// Two system calls, none of which waits or changes anything. `None` for what is no listening socket,
/// and where the system does not tell. A number, because who watches a listener must not keep it open;
/// the caller sees to it that the descriptor is not closed meanwhile, or lives with the answer about
/// another socket.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64", not(redhanded_stub)))] {
/// use std::os::fd::AsRawFd;
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
/// let queue = redhanded_capture::accept_queue(listener.as_raw_fd()).unwrap();
/// assert_eq!(queue.waiting, 1);
/// # drop(client);
/// # }
/// ```
pub fn accept_queue(socket: i32) -> Option<AcceptQueue> {
    sys::accept_queue(socket)
}
