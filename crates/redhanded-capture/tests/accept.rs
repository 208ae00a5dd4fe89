//! How many connections wait at a listener.
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]

use redhanded_capture::accept_queue;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// A connection is in the queue when its last packet has been seen, a moment after `connect`.
#[track_caller]
fn waits(socket: i32, connections: u32) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let queue = accept_queue(socket).expect("it listens");
        if queue.waiting == connections {
            return;
        }
        assert!(Instant::now() < end, "{queue:?}, and not {connections}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tcp_connections_are_counted() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            continue; // a machine without IPv6
        };
        let (socket, address) = (listener.as_raw_fd(), listener.local_addr().unwrap());
        waits(socket, 0);
        let clients: Vec<_> = (0..5)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        waits(socket, 5);
        let accepted = listener.accept().unwrap();
        waits(socket, 4);
        let limit = accept_queue(socket).and_then(|queue| queue.limit);
        assert!(limit.is_some_and(|limit| limit >= 5), "{limit:?}");
        drop((clients, accepted));
    }
}

#[test]
fn of_a_unix_socket_any_number_is_one() {
    let dir = std::env::temp_dir().join(format!("redhanded-accept-{}", std::process::id()));
    let _ = std::fs::remove_file(&dir);
    let listener = UnixListener::bind(&dir).unwrap();
    let socket = listener.as_raw_fd();
    waits(socket, 0);
    let clients = [0; 3].map(|_| UnixStream::connect(&dir).unwrap());
    waits(socket, 1);
    for _ in 0..3 {
        waits(socket, 1);
        listener.accept().unwrap();
    }
    waits(socket, 0);
    drop(clients);
    std::fs::remove_file(&dir).unwrap();
}

#[test]
fn what_does_not_listen_has_no_queue() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(accept_queue(client.as_raw_fd()), None);
    assert_eq!(accept_queue(-1), None);
    let file = std::fs::File::open("/proc/self/stat").unwrap();
    assert_eq!(accept_queue(file.as_raw_fd()), None);
}
