//! From the words that a leaf had at hand to the sockets behind them, through the process's own epoll sets.
//!
//! Descriptors are closed and reused while we look. A socket's inode tells: the epoll set lists it, and the descriptor must
//! still have it before and after it was asked.

use super::{fd, peer};
use crate::{ConnectionSeen, SocketSeen, monotonic_ns};
use redhanded_report::Peer;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kernel writes a whole set at once, twice, and keeps it locked meanwhile: 1 µs a socket, so 8 ms for so many.
const MOST_DESCRIPTORS: usize = 8192;
/// A line has some 80 bytes.
const MOST_BYTES: u64 = 128 * MOST_DESCRIPTORS as u64;
/// Sets that are larger are not read as often as one likes: a hundredth of the time at most.
const LARGE: u64 = 1000;
const PAUSE_PER_SOCKET_NS: u64 = 100_000;
/// Read at once.
const BUFFER: usize = 64 << 10;
/// A list of epoll sets that is older is made anew: runtimes come and go.
const FRESH_NS: u64 = 1_000_000_000;
/// One to a runtime.
const MOST_SETS: usize = 16;
/// tokio's record is aligned to this, and so large: words that point into it are its own.
const RECORD_BYTES: u64 = 128;
/// Numbers below are an index of somebody's, and any word on a stack may be such a number.
const FIRST_POINTER: u64 = 0x1_0000;
/// More connections to a few hosts are never told apart.
const MOST_FOUND: usize = 64;

pub(crate) fn sockets_behind(words: &[u64]) -> Vec<SocketSeen> {
    static NEXT_NS: AtomicU64 = AtomicU64::new(0);
    let now_ns = monotonic_ns();
    if words.is_empty() || now_ns < NEXT_NS.load(Ordering::Relaxed) {
        return Vec::new();
    }
    let (mut seen, mut read) = (Vec::<Target>::new(), 0);
    for set in epoll_sets(now_ns) {
        for target in targets(set, words, &mut read) {
            // In two sets, or with two descriptors
            if seen.iter().all(|known| known.inode != target.inode) {
                seen.push(target);
            }
        }
    }
    if read > LARGE {
        NEXT_NS.store(now_ns + read * PAUSE_PER_SOCKET_NS, Ordering::Relaxed);
    }
    seen.iter().filter_map(Target::look).collect()
}

pub(crate) fn sockets_to(remotes: &[SocketAddr]) -> Vec<ConnectionSeen> {
    let Some(open) = open_descriptors().filter(|count| *count <= MOST_DESCRIPTORS) else {
        return Vec::new();
    };
    if remotes.is_empty() {
        return Vec::new();
    }
    let mut left = open;
    let mut found = Vec::new();
    for descriptor in 0..MOST_DESCRIPTORS as i32 {
        let Some(inode) = fd::status_inode(descriptor) else {
            continue;
        };
        if let Some(inode) = inode
            && let Some(connection) = connection_to(remotes, descriptor)
            && fd::socket_inode(descriptor) == Some(inode)
        {
            found.push(connection);
        }
        left = left.saturating_sub(1);
        if left == 0 || found.len() == MOST_FOUND {
            break;
        }
    }
    found
}

/// What is known of a socket, if its other end is one of these.
fn connection_to(remotes: &[SocketAddr], socket: i32) -> Option<ConnectionSeen> {
    let peer = peer::name_of(socket)?;
    let is_it = |remote: &SocketAddr| {
        let address = peer.address.as_deref().unwrap_or_default();
        peer.port == Some(remote.port()) && address.parse() == Ok(remote.ip())
    };
    let remote = *remotes.iter().find(|remote| is_it(remote))?;
    let info = peer::TcpInfo::of(socket)?;
    Some(ConnectionSeen {
        remote,
        state: info.state()?,
        sent_ms_ago: info.last_data_sent_ms(),
        received_ms_ago: info.last_data_received_ms(),
        unread_bytes: fd::unread_bytes(socket),
        rounds: info.rounds(),
        takes_more: fd::takes_more(socket),
    })
}

/// The other end of the only socket in a set, as a driver has it that blocks its thread in a runtime of its own.
pub(super) fn only_one(set: i32) -> Option<Peer> {
    /// Who blocks in a set of its own has a few.
    const MOST: usize = 16;
    let file = File::open(format!("/proc/self/fdinfo/{set}")).ok()?;
    let lines = BufReader::new(file.take(MOST_BYTES)).lines();
    let targets: Vec<Target> = lines
        .map_while(Result::ok)
        .filter_map(|line| Target::parse(&line))
        .take(MOST + 1)
        .collect();
    if targets.len() > MOST {
        return None;
    }
    let mut seen = targets.iter().filter_map(Target::look);
    // Where something has come, it is about to wake up.
    let only = seen.next().filter(|socket| socket.unread_bytes == 0)?;
    seen.next().is_none().then_some(only.peer)
}

/// Descriptors and the runtimes' records of what is registered with the epoll sets of this process, each once; none where
/// they are more than `most`.
pub(super) fn registered(most: usize) -> Vec<(i32, u64)> {
    let mut all: Vec<(i32, u64)> = Vec::new();
    for set in epoll_sets(monotonic_ns()) {
        let Ok(file) = File::open(format!("/proc/self/fdinfo/{set}")) else {
            continue;
        };
        let lines = BufReader::with_capacity(BUFFER, file.take(MOST_BYTES)).lines();
        for target in lines
            .map_while(Result::ok)
            .filter_map(|line| Target::parse(&line))
        {
            let is_record =
                target.token >= FIRST_POINTER && target.token.is_multiple_of(RECORD_BYTES);
            if is_record && all.iter().all(|(fd, _)| *fd != target.fd) {
                all.push((target.fd, target.token));
            }
            if all.len() > most {
                return Vec::new();
            }
        }
    }
    all
}

/// What an epoll set says about one descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    fd: i32,
    token: u64,
    inode: u64,
}

impl Target {
    /// `tfd:       12 events: 8000201d data:     7f01a4000d80  pos:0 ino:2c91 sdev:9`
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("tfd:")?.split_ascii_whitespace();
        let fd = fields.next()?.parse().ok()?;
        fields.find(|field| *field == "data:")?;
        let token = u64::from_str_radix(fields.next()?, 16).ok()?;
        let inode = fields.find_map(|field| field.strip_prefix("ino:"))?;
        let inode = u64::from_str_radix(inode, 16).ok()?;
        Some(Self { fd, token, inode })
    }

    fn look(&self) -> Option<SocketSeen> {
        let is_still = || fd::socket_inode(self.fd) == Some(self.inode);
        if !is_still() {
            return None;
        }
        let seen = seen(self.fd)?;
        is_still().then_some(seen)
    }
}

/// The descriptors of a set whose numbers these words mean, and how many there are; nothing if it is not a set any more.
fn targets(set: i32, words: &[u64], read: &mut u64) -> Vec<Target> {
    let Ok(file) = File::open(format!("/proc/self/fdinfo/{set}")) else {
        return Vec::new();
    };
    let lines = BufReader::with_capacity(BUFFER, file.take(MOST_BYTES)).split(b'\n');
    let meant = |line: &Vec<u8>| token(line).is_some_and(|token| is_meant(token, words));
    let line = |line: Vec<u8>| Target::parse(std::str::from_utf8(&line).ok()?);
    lines
        .map_while(Result::ok)
        .inspect(|_| *read += 1)
        .filter(meant)
        .filter_map(line)
        .collect()
}

/// Only the token of a line, because most lines are of no interest.
fn token(line: &[u8]) -> Option<u64> {
    const MARK: &[u8] = b"data:";
    let at = line.windows(MARK.len()).position(|bytes| bytes == MARK)?;
    let digits = line[at + MARK.len()..].trim_ascii_start();
    let mut token = 0_u64;
    for &byte in digits {
        let Some(digit) = char::from(byte).to_digit(16) else {
            break;
        };
        token = token << 4 | u64::from(digit);
    }
    Some(token)
}

fn is_meant(token: u64, words: &[u64]) -> bool {
    let is_record = token.is_multiple_of(RECORD_BYTES);
    let bytes = if is_record { RECORD_BYTES } else { 1 };
    token >= FIRST_POINTER && words.iter().any(|word| word.wrapping_sub(token) < bytes)
}

pub(super) fn seen(socket: i32) -> Option<SocketSeen> {
    let mut peer = peer::name_of(socket)?;
    let is_datagram =
        fd::int_option(socket, libc::SOL_SOCKET, libc::SO_TYPE) == Some(libc::SOCK_DGRAM);
    let info = peer::TcpInfo::of(socket);
    peer.state = info
        .as_ref()
        .and_then(peer::TcpInfo::state)
        .map(str::to_owned);
    let phase = phase(&peer, is_datagram, socket);
    if peer.state.as_deref() == Some("ESTABLISHED") {
        let quiet_ms = info.as_ref().map(|info| match phase {
            Some("write") => info.last_data_sent_ms(),
            _ => info.last_data_received_ms(),
        });
        peer.elapsed_ms = quiet_ms.map(f64::from);
    }
    peer.phase = phase.map(str::to_owned);
    Some(SocketSeen {
        peer,
        unread_bytes: fd::unread_bytes(socket),
        rounds: info.as_ref().map_or(0, peer::TcpInfo::rounds),
    })
}

fn phase(peer: &Peer, is_datagram: bool, socket: i32) -> Option<&'static str> {
    const DNS: u16 = 53;
    match peer.state.as_deref() {
        Some("SYN_SENT") => Some("connect"),
        _ if is_datagram => (peer.port == Some(DNS)).then_some("dns"),
        _ => (!fd::takes_more(socket)).then_some("write"),
    }
}

/// The epoll sets of this process, each once.
fn epoll_sets(now_ns: u64) -> Vec<i32> {
    struct Known {
        at_ns: u64,
        sets: Vec<i32>,
    }
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let Some(descriptors) = open_descriptors().filter(|count| *count <= MOST_DESCRIPTORS) else {
        return Vec::new();
    };
    let Ok(mut known) = KNOWN.try_lock() else {
        // Somebody else looks just now, or has panicked.
        return find_epoll_sets(descriptors);
    };
    let is_fresh = |known: &&Known| {
        now_ns.saturating_sub(known.at_ns) < FRESH_NS && known.sets.iter().all(|set| is_epoll(*set))
    };
    if let Some(known) = known.as_ref().filter(is_fresh) {
        return known.sets.clone();
    }
    let sets = find_epoll_sets(descriptors);
    *known = Some(Known {
        at_ns: now_ns,
        sets: sets.clone(),
    });
    sets
}

/// How many descriptors the process has; before Linux 6.2, how many it has had at a time, or a little more.
fn open_descriptors() -> Option<usize> {
    let directory = std::fs::metadata("/proc/self/fd").ok()?.len();
    if directory > 0 {
        return usize::try_from(directory).ok();
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("FDSize:"))?;
    size.trim().parse().ok()
}

/// Tries the numbers in order, which is faster than a list of the directory, until all `open` have been seen.
fn find_epoll_sets(open: usize) -> Vec<i32> {
    let (mut sets, mut left) = (Vec::<i32>::new(), open);
    for descriptor in 0..MOST_DESCRIPTORS as i32 {
        let Some(kind) = fd::kind(descriptor) else {
            continue;
        };
        // tokio holds each of its sets twice.
        let is_new = || !sets.iter().any(|set| fd::are_the_same(*set, descriptor));
        if kind == fd::Kind::Anonymous && is_epoll(descriptor) && is_new() {
            sets.push(descriptor);
        }
        left = left.saturating_sub(1);
        if left == 0 || sets.len() == MOST_SETS {
            break;
        }
    }
    sets
}

fn is_epoll(descriptor: i32) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
        .is_ok_and(|path| path == Path::new("anon_inode:[eventpoll]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "tfd:       12 events: 8000201d data:     7f01a4000d80  pos:0 ino:2c91 sdev:9";

    #[test]
    fn a_line_of_an_epoll_set() {
        let target = Target::parse(LINE).expect("a line as the kernel writes it");
        assert_eq!(
            (target.fd, target.token, target.inode),
            (12, 0x7f01_a400_0d80, 0x2c91)
        );
        for other in [
            "",
            "pos:\t0",
            "tfd:",
            "tfd: x",
            "tfd: 1 events: 0 data: xyz",
        ] {
            assert_eq!(Target::parse(other), None, "{other}");
        }
    }

    #[test]
    fn words_into_the_record_mean_it_and_its_neighbours_do_not() {
        let token = token(LINE.as_bytes()).expect("a line");
        assert_eq!(token, 0x7f01_a400_0d80);
        for (offset, meant) in [(0, true), (24, true), (127, true), (128, false)] {
            assert_eq!(is_meant(token, &[1, token + offset]), meant, "{offset}");
        }
        assert!(!is_meant(token, &[token - 1]));
        let odd = token + 8;
        assert!(is_meant(odd, &[odd]) && !is_meant(odd, &[odd + 8]));
        assert!(!is_meant(5, &[5]), "an index is no address");
    }

    #[test]
    fn every_set_is_found_once() {
        // SAFETY: no arguments but a flag; the descriptors are closed below.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        // SAFETY: duplicates the descriptor that we have just made.
        let twin = unsafe { libc::fcntl(set, libc::F_DUPFD_CLOEXEC, 0) };
        assert!(set >= 0 && twin > set);
        let count = open_descriptors().expect("/proc is there");
        assert!((4..MOST_DESCRIPTORS).contains(&count), "{count}");
        let sets = find_epoll_sets(count + 50);
        assert!(sets.contains(&set) && !sets.contains(&twin), "{sets:?}");
        for descriptor in [set, twin] {
            // SAFETY: ours, and closed once.
            unsafe { libc::close(descriptor) };
        }
        assert_eq!(targets(set, &[1 << 20], &mut 0), []);
    }

    #[test]
    fn the_only_socket_of_a_set_and_none_of_two() {
        use std::net::{TcpListener, TcpStream};
        use std::os::fd::AsRawFd;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let connect = || TcpStream::connect(address).expect("it listens");
        let (one, other) = (connect(), connect());
        // SAFETY: no arguments but a flag; the descriptor is closed below.
        let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let add = |stream: &TcpStream| {
            let (mut event, fd) = (libc::epoll_event { events: 0, u64: 0 }, stream.as_raw_fd());
            // SAFETY: both descriptors are open, and `event` lives for the call.
            let added = unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
            assert_eq!(added, 0);
        };
        assert_eq!(only_one(set), None);
        add(&one);
        let peer = only_one(set).expect("there is one");
        assert_eq!(peer.port, Some(address.port()));
        assert_eq!(peer.state.as_deref(), Some("ESTABLISHED"));
        add(&other);
        assert_eq!(only_one(set), None);
        // SAFETY: ours, and closed once.
        unsafe { libc::close(set) };
    }
}
