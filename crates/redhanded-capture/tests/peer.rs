//! What a blocked thread waits for, and whom: asked of threads that really are blocked.
#![cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]

use redhanded_capture::{Sampler, Syscall, Thread, peer_of, waits_for};
use redhanded_report::{Peer, WaitKind, WaitingFor};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Starts a thread and returns the call it is blocked in.
fn blocked_in(call: &str, block: impl FnOnce() + Send + 'static) -> Syscall {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        send.send(Thread::current()).expect("somebody waits");
        block();
    });
    let thread = receive.recv().expect("registers");
    let mut sampler = Sampler::new();
    let begun = Instant::now();
    loop {
        let activity = sampler.activity(&thread);
        match activity.syscall {
            Some(syscall) if syscall.name() == call && activity.state == Some('S') => {
                return syscall;
            }
            _ => assert!(
                begun.elapsed() < Duration::from_secs(20),
                "never came to {call}: {activity:?}"
            ),
        }
    }
}

/// A listener whose queue is full: the next `connect` stays in SYN_SENT.
fn full_listener(at: &str) -> (TcpListener, SocketAddr, [TcpStream; 2]) {
    let listener = TcpListener::bind(at).expect("binds");
    let address = listener.local_addr().expect("bound");
    // SAFETY: a second listen on our own socket only changes the length of its queue.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    (
        listener,
        address,
        [(); 2].map(|()| TcpStream::connect(address).expect("there is room")),
    )
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    (stream, listener.accept().expect("accepts").0)
}

#[track_caller]
fn assert_peer(syscall: &Syscall, address: SocketAddr, phase: Option<&str>, state: &str) {
    let mut expected = Peer::default();
    expected.address = Some(address.ip().to_string());
    expected.port = Some(address.port());
    expected.phase = phase.map(str::to_owned);
    expected.state = Some(state.to_owned());
    assert_eq!(peer_of(syscall), Some(expected));
}

#[track_caller]
fn assert_waits(syscall: &Syscall, kind: WaitKind, what: &str) {
    assert_eq!(waits_for(syscall), Some(WaitingFor::new(kind, what)));
}

#[test]
fn a_connect_names_its_target() {
    let (_listener, address, _full) = full_listener("127.0.0.1:0");
    let syscall = blocked_in("connect", move || drop(TcpStream::connect(address)));
    assert_peer(&syscall, address, Some("connect"), "SYN_SENT");
    assert_waits(&syscall, WaitKind::Socket, "connect");
}

#[test]
fn a_connect_over_ipv6_names_its_target() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // no IPv6 here
    }
    let (_listener, address, _full) = full_listener("[::1]:0");
    let syscall = blocked_in("connect", move || drop(TcpStream::connect(address)));
    assert_peer(&syscall, address, Some("connect"), "SYN_SENT");
}

#[test]
fn a_connect_with_a_timeout_is_seen_through_its_poll() {
    let (_listener, address, _full) = full_listener("127.0.0.1:0");
    let syscall = blocked_in("poll", move || {
        drop(TcpStream::connect_timeout(
            &address,
            Duration::from_secs(100),
        ))
    });
    assert_peer(&syscall, address, None, "SYN_SENT");
    assert_waits(&syscall, WaitKind::Socket, "poll");
}

#[test]
fn a_receive_names_the_other_end() {
    let (mut stream, _other) = connected();
    let address = stream.peer_addr().expect("connected");
    let syscall = blocked_in("recvfrom", move || drop(stream.read(&mut [0])));
    assert_peer(&syscall, address, None, "ESTABLISHED");
    assert_waits(&syscall, WaitKind::Socket, "recvfrom");
}

#[test]
fn a_send_into_a_full_buffer_is_a_write() {
    let (mut stream, _other) = connected();
    let address = stream.peer_addr().expect("connected");
    let syscall = blocked_in("sendto", move || drop(stream.write_all(&vec![0; 64 << 20])));
    assert_peer(&syscall, address, Some("write"), "ESTABLISHED");
}

#[test]
fn a_unix_socket_is_named_by_its_path() {
    let path = std::env::temp_dir().join(format!("redhanded-peer-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let _listener = UnixListener::bind(&path).expect("binds");
    let mut stream = UnixStream::connect(&path).expect("connects");
    let syscall = blocked_in("recvfrom", move || drop(stream.read(&mut [0])));
    let peer = peer_of(&syscall).expect("named");
    assert_eq!(
        (peer.address.as_deref(), peer.port, peer.state),
        (path.to_str(), None, None)
    );
    let _ = std::fs::remove_file(&path);
}

#[test]
fn an_unnamed_unix_socket_has_no_peer() {
    let (mut stream, _other) = UnixStream::pair().expect("pairs");
    let syscall = blocked_in("recvfrom", move || drop(stream.read(&mut [0])));
    assert_eq!(peer_of(&syscall), None);
    assert_waits(&syscall, WaitKind::Socket, "recvfrom");
}

#[test]
fn what_is_no_socket_has_no_peer_but_a_name() {
    let (mut reader, _writer) = std::io::pipe().expect("pipes");
    let syscall = blocked_in("read", move || drop(reader.read(&mut [0])));
    assert_eq!(peer_of(&syscall), None);
    let waiting = waits_for(&syscall).expect("known");
    assert!(
        waiting.kind == WaitKind::File && waiting.what.starts_with("pipe:["),
        "{waiting:?}"
    );
}

#[test]
fn a_fifo_is_named_before_it_is_open() {
    let path = std::env::temp_dir().join(format!("redhanded-fifo-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let c_path = std::ffi::CString::new(path.to_str().expect("plain")).expect("no zero byte");
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    let opened = path.clone();
    let syscall = blocked_in("openat", move || drop(std::fs::File::open(opened)));
    assert_waits(&syscall, WaitKind::File, path.to_str().expect("plain"));
    let _ = std::fs::OpenOptions::new().write(true).open(&path);
    let _ = std::fs::remove_file(&path);
}

#[test]
fn the_other_kinds_of_waiting() {
    assert_waits(
        &blocked_in("clock_nanosleep", || {
            std::thread::sleep(Duration::from_secs(100))
        }),
        WaitKind::Timer,
        "clock_nanosleep",
    );
    assert_waits(
        &blocked_in("futex", std::thread::park),
        WaitKind::Lock,
        "futex",
    );
    let join = || drop(std::thread::spawn(|| std::thread::sleep(Duration::from_secs(100))).join());
    assert_waits(&blocked_in("futex", join), WaitKind::Task, "thread");
    let child = || drop(std::process::Command::new("sleep").arg("3").status());
    assert_waits(&blocked_in("wait4", child), WaitKind::Child, "wait4");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    assert_waits(
        &blocked_in("accept4", move || drop(listener.accept())),
        WaitKind::Socket,
        "accept4",
    );
}

#[test]
fn nonsense_is_no_answer() {
    for number in [-1, 0, 1, 7, 42, 45, 202, 257, 271, 100_000] {
        for args in [
            [0; 6],
            [u64::MAX; 6],
            [1, 2, 3, 4, 5, 6],
            [999_999, u64::MAX, 1, 0, 0, 0],
        ] {
            let syscall = Syscall::new(number, args);
            let _ = waits_for(&syscall);
            assert_eq!(peer_of(&syscall), None, "{syscall:?}");
        }
    }
    assert_eq!(Syscall::new(100_000, [0; 6]).to_string(), "syscall_100000");
    assert_eq!(Syscall::new(202, [0; 6]).to_string(), "futex");
}
