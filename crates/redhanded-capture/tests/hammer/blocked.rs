//! Threads that are blocked, in every way a server blocks: read without touching them, and compared with the truth.

use crate::runner::{Tally, Verdict, captures};
use crate::target::{DEADLINE, is_rooted, recurse, start, wait_until_in};
use crate::truth;
use redhanded_capture::{Sample, Sampler, Thread};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Condvar, Mutex, RwLock, mpsc};
use std::time::Duration;

pub(crate) const NAMES: &[&str] = &[
    "connect",
    "connect_timeout",
    "mutex",
    "rwlock",
    "condvar",
    "condvar_timeout",
    "mpsc",
    "pipe_read",
    "pipe_write",
    "recv",
    "recv_timeout",
    "udp_recv",
    "accept",
    "sleep",
    "park",
    "join",
    "child_wait",
    "poll",
    "ppoll",
    "select",
    "epoll_wait",
    "fifo_open",
    "flock",
    "eventfd_read",
    "unix_recv",
    "sigtimedwait",
    "getaddrinfo_like",
];

const LONG: Duration = Duration::from_secs(1000);

pub(crate) fn run(name: &str) -> Option<Verdict> {
    let (call, mut block) = blocker(name)?;
    let thread = start(move || {
        recurse(5, &mut *block);
    });
    Some(compare(&thread, call))
}

fn compare(thread: &Thread, call: &str) -> Verdict {
    let mut sampler = Sampler::new();
    wait_until_in(&mut sampler, thread, call)?;
    let mut tally = Tally::default();
    let mut last = Sample::default();
    for _ in 0..captures().min(2000) {
        let sample = sampler
            .sample(thread, DEADLINE)
            .map_err(|reason| reason.to_string())?;
        if sample.on_cpu || sample.syscall.is_none_or(|syscall| syscall.name() != call) {
            return Err(format!(
                "a blocked thread was signalled or its call is wrong: {sample:?}"
            ));
        }
        tally.captures += 1;
        tally.complete += usize::from(sample.stack.complete);
        tally.impossible += usize::from(sample.stack.complete && !is_rooted(&sample.stack));
        last = sample;
    }
    if tally.complete != tally.captures {
        return Err(format!(
            "{} of {} are complete: {:x?}",
            tally.complete, tally.captures, last.stack
        ));
    }
    let truth = truth::callers(thread)?;
    let ours: Vec<u64> = last
        .stack
        .frames
        .iter()
        .skip(1)
        .map(|frame| frame.address + 1)
        .collect();
    if ours.len() < 8 || ours != truth {
        return Err(format!(
            "callers differ from the signal's truth:\n  ours  {ours:x?}\n  truth {truth:x?}"
        ));
    }
    tally.note = format!("{} callers, identical to the signal's truth", ours.len());
    Ok(tally)
}

type Block = Box<dyn FnMut() + Send>;

/// The system call that it will be blocked in, and how it gets there.
fn blocker(name: &str) -> Option<(&'static str, Block)> {
    let forever: (&str, Block) = match name {
        "connect" => {
            let address = full_listener();
            (
                "connect",
                Box::new(move || drop(TcpStream::connect(address))),
            )
        }
        "connect_timeout" => {
            let address = full_listener();
            (
                "poll",
                Box::new(move || drop(TcpStream::connect_timeout(&address, LONG))),
            )
        }
        "mutex" => ("futex", Box::new(locked_mutex())),
        "rwlock" => {
            let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
            std::mem::forget(lock.write());
            ("futex", Box::new(|| drop(lock.read())))
        }
        "condvar" => (
            "futex",
            Box::new(|| {
                let (mutex, condvar) = (Mutex::new(()), Condvar::new());
                drop(condvar.wait(mutex.lock().expect("fresh")));
            }),
        ),
        "condvar_timeout" => (
            "futex",
            Box::new(|| {
                let (mutex, condvar) = (Mutex::new(()), Condvar::new());
                drop(condvar.wait_timeout(mutex.lock().expect("fresh"), LONG));
            }),
        ),
        "mpsc" => {
            let (send, receive) = mpsc::channel::<u32>();
            std::mem::forget(send);
            ("futex", Box::new(move || while receive.recv().is_ok() {}))
        }
        "sleep" => ("clock_nanosleep", Box::new(|| std::thread::sleep(LONG))),
        "park" => ("futex", Box::new(std::thread::park)),
        "join" => (
            "futex",
            Box::new(|| drop(std::thread::spawn(|| std::thread::sleep(LONG)).join())),
        ),
        "child_wait" => (
            "wait4",
            Box::new(|| drop(std::process::Command::new("sleep").arg("20").status())),
        ),
        _ => return descriptor_blocker(name),
    };
    Some(forever)
}

fn descriptor_blocker(name: &str) -> Option<(&'static str, Block)> {
    let (reader, writer) = pipe();
    let on_descriptor: (&str, Block) = match name {
        "pipe_read" => ("read", Box::new(move || drop(file(reader).read(&mut [0])))),
        "pipe_write" => (
            "write",
            Box::new(move || drop(std::io::Write::write_all(&mut file(writer), &[0; 1 << 20]))),
        ),
        "recv" => {
            let (mut stream, _other) = connected();
            ("recvfrom", Box::new(move || drop(stream.read(&mut [0]))))
        }
        "recv_timeout" => {
            let (mut stream, _other) = connected();
            stream.set_read_timeout(Some(LONG)).expect("sets");
            ("recvfrom", Box::new(move || drop(stream.read(&mut [0]))))
        }
        "udp_recv" => {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
            ("recvfrom", Box::new(move || drop(socket.recv(&mut [0]))))
        }
        "unix_recv" => {
            let (mut socket, other) = std::os::unix::net::UnixStream::pair().expect("pairs");
            std::mem::forget(other);
            ("recvfrom", Box::new(move || drop(socket.read(&mut [0]))))
        }
        "accept" => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
            ("accept4", Box::new(move || drop(listener.accept())))
        }
        "eventfd_read" => {
            // SAFETY: creates a descriptor, which is ours.
            let fd = unsafe { libc::eventfd(0, 0) };
            ("read", Box::new(move || drop(file(fd).read(&mut [0; 8]))))
        }
        "fifo_open" => {
            let path = temporary("fifo");
            let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
            // SAFETY: a C string.
            unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) };
            ("openat", Box::new(move || drop(std::fs::File::open(&path))))
        }
        "flock" => {
            let path = temporary("lock");
            let holder = std::fs::File::create(&path).expect("creates");
            holder.lock().expect("locks");
            std::mem::forget(holder);
            (
                "flock",
                Box::new(move || drop(std::fs::File::open(&path).expect("there").lock())),
            )
        }
        _ => return waiting_blocker(name, reader),
    };
    Some(on_descriptor)
}

static DAY: libc::timespec = libc::timespec {
    tv_sec: 86_400,
    tv_nsec: 0,
};

/// Calls of libc's that std does not make.
fn waiting_blocker(name: &str, reader: i32) -> Option<(&'static str, Block)> {
    let waiting: (&str, Block) = match name {
        "poll" => ("poll", Box::new(move || poll(reader, -1))),
        // A resolver waits for its answer by poll with a timeout.
        "getaddrinfo_like" => ("poll", Box::new(move || poll(reader, 86_400_000))),
        "ppoll" => ("ppoll", Box::new(move || ppoll(reader))),
        "select" => ("pselect6", Box::new(move || select(reader))),
        "epoll_wait" => ("epoll_wait", Box::new(epoll)),
        "sigtimedwait" => ("rt_sigtimedwait", Box::new(wait_for_signal)),
        _ => return None,
    };
    Some(waiting)
}

fn readable(fd: i32) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

fn poll(fd: i32, timeout_ms: i32) {
    let mut polled = readable(fd);
    // SAFETY: one descriptor, which lives across the call.
    unsafe { libc::poll(&raw mut polled, 1, timeout_ms) };
}

fn ppoll(fd: i32) {
    let mut polled = readable(fd);
    // SAFETY: one descriptor and a timeout, which live across the call; no mask.
    unsafe { libc::ppoll(&raw mut polled, 1, &raw const DAY, std::ptr::null()) };
}

fn select(fd: i32) {
    let none = std::ptr::null_mut();
    // SAFETY: all zeroes is an empty set, the descriptor is small, and both pointers live across the call.
    unsafe {
        let mut set: libc::fd_set = std::mem::zeroed();
        libc::FD_SET(fd, &raw mut set);
        libc::pselect(
            fd + 1,
            &raw mut set,
            none,
            none,
            &raw const DAY,
            std::ptr::null(),
        );
    }
}

fn epoll() {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event, which lives across the call.
    unsafe { libc::epoll_wait(libc::epoll_create1(0), &raw mut event, 1, -1) };
}

fn wait_for_signal() {
    // SAFETY: sigemptyset initialises the set; both pointers live across the call.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const DAY);
    }
}

fn locked_mutex() -> impl FnMut() + Send {
    let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(0)));
    std::mem::forget(mutex.lock());
    || drop(mutex.lock())
}

fn temporary(kind: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("redhanded-hammer-{}-{kind}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn pipe() -> (i32, i32) {
    let (reader, writer) = std::io::pipe().expect("pipes");
    (reader.into_raw_fd(), writer.into_raw_fd())
}

fn file(fd: i32) -> std::fs::File {
    // SAFETY: each descriptor is turned into a file once, by its own workload.
    unsafe { std::fs::File::from_raw_fd(fd) }
}

fn connected() -> (TcpStream, i32) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let other = listener.accept().expect("accepts").0.into_raw_fd();
    std::mem::forget(listener);
    (stream, other)
}

/// A listener whose queue is full: the next `connect` stays in SYN_SENT.
fn full_listener() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound");
    let fd = listener.into_raw_fd();
    // SAFETY: a second listen on our own socket only changes the length of its queue.
    assert_eq!(unsafe { libc::listen(fd, 1) }, 0);
    for _ in 0..2 {
        std::mem::forget(TcpStream::connect(address).expect("there is room"));
    }
    address
}
