//! Whose doing it is that a thread sleeps.

use super::fd;
use super::peer::peer_of;
use super::task::{Place, parse_place};
use super::wait::{self, waits_for};
use crate::{SleepsOn, Syscall};
use redhanded_report::WaitKind;

/// Threads that are looked at; of a process with more it is not known what all of them wait for.
const THREADS: usize = 1024;

pub(crate) fn sleeps_on(syscall: &Syscall) -> SleepsOn {
    match syscall.number {
        libc::SYS_futex if ends_by_itself(syscall) => SleepsOn::Other,
        libc::SYS_futex => SleepsOn::Lock,
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => SleepsOn::Timer,
        libc::SYS_connect => SleepsOn::Peer,
        libc::SYS_select | libc::SYS_pselect6 => SleepsOn::Peer,
        number if wait::is_epoll(number) => SleepsOn::Peer,
        libc::SYS_poll | libc::SYS_ppoll => polls(syscall),
        libc::SYS_write | libc::SYS_writev => writes(syscall),
        _ => match waits_for(syscall).map(|waits| waits.kind) {
            Some(WaitKind::Socket) => SleepsOn::Peer,
            _ => SleepsOn::Other,
        },
    }
}

/// A wait with a timeout is what a queue for something does, such as a pool of connections.
fn ends_by_itself(futex: &Syscall) -> bool {
    const WAIT: u64 = 0;
    const LOCK_PI: u64 = 6;
    const WAIT_BITSET: u64 = 9;
    const LOCK_PI2: u64 = 13;
    let [_, operation, _, timeout, ..] = futex.args;
    let command = operation & libc::FUTEX_CMD_MASK as u64;
    let may_have_one = matches!(command, WAIT | WAIT_BITSET | LOCK_PI | LOCK_PI2);
    !may_have_one || timeout != 0
}

fn polls(syscall: &Syscall) -> SleepsOn {
    match syscall.args[1] {
        0 => SleepsOn::Timer,
        1 => match wait::only_polled(syscall).and_then(fd::kind) {
            Some(fd::Kind::Socket) => SleepsOn::Peer,
            _ => SleepsOn::Other,
        },
        _ => SleepsOn::Peer,
    }
}

fn writes(syscall: &Syscall) -> SleepsOn {
    let Some(number) = wait::descriptor(syscall.args[0]) else {
        return SleepsOn::Other;
    };
    match fd::kind(number) {
        Some(fd::Kind::Socket) => SleepsOn::Peer,
        Some(fd::Kind::File) if fd::is_pipe_or_terminal(number) => SleepsOn::Output,
        _ => SleepsOn::Other,
    }
}

pub(crate) fn any_waits_for_a_peer() -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return false;
    };
    let waits = |thread: std::fs::DirEntry| {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).ok();
        let syscall = match parse_place(&read("syscall")?)? {
            Place::Blocked { syscall, .. } => syscall?,
            Place::Running => return None,
        };
        // A runtime that waits in epoll for whatever comes has nothing to do, as far as one can see.
        let is_idle = wait::is_epoll(syscall.number);
        (!is_idle && !read("comm")?.starts_with("redhanded-")).then_some(())?;
        peer_of(&syscall)
    };
    threads.flatten().take(THREADS).any(|t| waits(t).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sampler, Thread};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// What a thread sleeps on that does `work`, once it sleeps.
    fn asleep_in(work: impl FnOnce() + Send + 'static) -> SleepsOn {
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            send.send(Thread::current()).expect("the test waits");
            work();
        });
        let thread = receive.recv().expect("it began");
        let mut sampler = Sampler::new();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let before = sampler.activity(&thread);
            std::thread::sleep(Duration::from_millis(20));
            let now = sampler.activity(&thread);
            if let Some(syscall) = now.syscall.filter(|_| now.timeslices == before.timeslices) {
                return sleeps_on(&syscall);
            }
            assert!(Instant::now() < until, "it does not come to rest");
        }
    }

    #[test]
    fn locks_time_pipes_and_peers_are_told_apart() {
        const DAY: Duration = Duration::from_secs(86_400);
        let lock = || {
            let mutex = std::sync::Mutex::new(());
            let _one = mutex.lock();
            let _two = mutex.lock();
        };
        assert_eq!(asleep_in(lock), SleepsOn::Lock);
        assert_eq!(asleep_in(std::thread::park), SleepsOn::Lock);
        let queue = || std::thread::park_timeout(DAY);
        assert_eq!(asleep_in(queue), SleepsOn::Other, "it ends by itself");
        assert_eq!(asleep_in(|| std::thread::sleep(DAY)), SleepsOn::Timer);
        let print = || {
            use std::io::Write;
            let (_reader, mut writer) = std::io::pipe().expect("a pipe");
            let _ = writer.write_all(&[0; 1 << 20]);
        };
        assert_eq!(asleep_in(print), SleepsOn::Output);
    }

    #[test]
    fn who_reads_from_a_silent_host_waits_for_a_peer_and_so_does_the_process() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        let read = move || {
            use std::io::Read;
            let mut stream = TcpStream::connect(address).expect("it listens");
            let _ = stream.read(&mut [0; 1]);
        };
        assert_eq!(asleep_in(read), SleepsOn::Peer);
        assert!(any_waits_for_a_peer());
    }
}
