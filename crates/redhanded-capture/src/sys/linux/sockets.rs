//! From the words that a leaf had at hand to the sockets behind them, through the process's own epoll sets.
//!
//! Descriptors are closed and reused while we look. A socket's inode tells: the epoll set lists it, and the descriptor must
//! still have it before and after it was asked.

use super::{fd, peer};
use crate::{SocketSeen, monotonic_ns};
use redhanded_report::Peer;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Mutex;

/// The kernel writes a whole set at once, and keeps it locked meanwhile: some 5 ms for so many.
const MOST_DESCRIPTORS: usize = 16_384;
/// A line has some 90 bytes.
const MOST_BYTES: u64 = 128 * MOST_DESCRIPTORS as u64;
/// A list of epoll sets that is older is made anew: runtimes come and go.
const FRESH_NS: u64 = 1_000_000_000;
/// An epoll set's duplicates list the same sockets: there are two to each of tokio's.
const MOST_SETS: usize = 32;
/// tokio's record is aligned to this, and so large: words that point into it are its own.
const RECORD_BYTES: u64 = 128;
/// Numbers below are an index of somebody's, and any word on a stack may be such a number.
const FIRST_POINTER: u64 = 0x1_0000;

pub(crate) fn sockets_behind(words: &[u64]) -> Vec<SocketSeen> {
    let mut seen: Vec<Target> = Vec::new();
    if words.is_empty() {
        return Vec::new();
    }
    for set in epoll_sets() {
        for target in targets(set) {
            // A set and its duplicates list the same sockets, and a socket may have two descriptors.
            let is_new = || seen.iter().all(|known| known.inode != target.inode);
            if target.is_meant_by(words) && is_new() {
                seen.push(target);
            }
        }
    }
    seen.iter().filter_map(Target::look).collect()
}

pub(crate) fn accept_queue(socket: BorrowedFd<'_>) -> Option<(u32, u32)> {
    let socket = socket.as_raw_fd();
    let info = peer::TcpInfo::of(socket)?;
    (info.state() == Some("LISTEN")).then(|| (info.accept_queue(), info.accept_queue_limit()))
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

    fn is_meant_by(&self, words: &[u64]) -> bool {
        if self.token < FIRST_POINTER {
            return false;
        }
        let bytes = if self.token.is_multiple_of(RECORD_BYTES) {
            RECORD_BYTES
        } else {
            1
        };
        words
            .iter()
            .any(|word| word.wrapping_sub(self.token) < bytes)
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

/// What the set knows; nothing if it is not one any more.
fn targets(set: i32) -> Vec<Target> {
    let mut text = String::new();
    let Ok(file) = File::open(format!("/proc/self/fdinfo/{set}")) else {
        return Vec::new();
    };
    if file.take(MOST_BYTES).read_to_string(&mut text).is_err() {
        return Vec::new();
    }
    text.lines().filter_map(Target::parse).collect()
}

fn seen(socket: i32) -> Option<SocketSeen> {
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
        let quiet_ms = info.map(|info| match phase {
            Some("write") => info.last_data_sent_ms(),
            _ => info.last_data_received_ms(),
        });
        peer.elapsed_ms = quiet_ms.map(f64::from);
    }
    peer.phase = phase.map(str::to_owned);
    Some(SocketSeen {
        peer,
        unread_bytes: fd::unread_bytes(socket),
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

/// The epoll sets of this process.
fn epoll_sets() -> Vec<i32> {
    struct Known {
        at_ns: u64,
        sets: Vec<i32>,
    }
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let now_ns = monotonic_ns();
    let Ok(mut known) = KNOWN.try_lock() else {
        // Somebody else looks just now, or has panicked.
        return find_epoll_sets();
    };
    let is_fresh = |known: &&Known| {
        now_ns.saturating_sub(known.at_ns) < FRESH_NS && known.sets.iter().all(|set| is_epoll(*set))
    };
    if let Some(known) = known.as_ref().filter(is_fresh) {
        return known.sets.clone();
    }
    let sets = find_epoll_sets();
    *known = Some(Known {
        at_ns: now_ns,
        sets: sets.clone(),
    });
    sets
}

/// Nothing if there are too many descriptors to look at.
fn find_epoll_sets() -> Vec<i32> {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let mut sets = Vec::new();
    for (count, entry) in descriptors.enumerate() {
        if count == MOST_DESCRIPTORS {
            return Vec::new();
        }
        let descriptor = entry.ok().and_then(|e| e.file_name().to_str()?.parse().ok());
        sets.extend(descriptor.filter(|set| sets.len() < MOST_SETS && is_epoll(*set)));
    }
    sets
}

fn is_epoll(descriptor: i32) -> bool {
    // Cheaper than its path, and true of few.
    fd::kind(descriptor) == Some(fd::Kind::Anonymous)
        && std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
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
        for other in ["", "pos:\t0", "tfd:", "tfd: x", "tfd: 1 events: 0 data: xyz"] {
            assert_eq!(Target::parse(other), None, "{other}");
        }
    }

    #[test]
    fn words_into_the_record_mean_it_and_its_neighbours_do_not() {
        let target = Target::parse(LINE).expect("a line");
        for (offset, meant) in [(0, true), (24, true), (127, true), (128, false)] {
            assert_eq!(
                target.is_meant_by(&[1, target.token + offset]),
                meant,
                "{offset}"
            );
        }
        assert!(!target.is_meant_by(&[target.token - 1]));
        let odd = Target {
            token: target.token + 8,
            ..target.clone()
        };
        assert!(odd.is_meant_by(&[odd.token]) && !odd.is_meant_by(&[odd.token + 8]));
        let index = Target { token: 5, ..target };
        assert!(!index.is_meant_by(&[5]), "an index is no address");
    }
}
