//! The other end of a socket that a blocked thread waits for.

use super::{fd, memory, sockets, wait};
use crate::Syscall;
use redhanded_report::Peer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest address of any family.
const ADDRESS_BYTES: usize = size_of::<libc::sockaddr_storage>();
/// `SO_PEERNAME`, which libc lacks. It works while connecting, where `getpeername` does not.
const SO_PEERNAME: i32 = 28;

pub(crate) fn peer_of(syscall: &Syscall) -> Option<Peer> {
    if wait::is_epoll(syscall.number) {
        return sockets::only_one(wait::descriptor(syscall.args[0])?);
    }
    let socket = socket_of(syscall)?;
    if fd::kind(socket)? != fd::Kind::Socket {
        return None;
    }
    let mut peer = if syscall.number == libc::SYS_connect {
        connecting(syscall)
    } else {
        name_of(socket)
    }?;
    peer.phase = phase(syscall.number).map(str::to_owned);
    let info = TcpInfo::of(socket);
    peer.state = info.and_then(|info| info.state()).map(str::to_owned);
    Some(peer)
}

fn socket_of(syscall: &Syscall) -> Option<i32> {
    match syscall.number {
        libc::SYS_connect => wait::descriptor(syscall.args[0]),
        libc::SYS_poll | libc::SYS_ppoll => wait::only_polled(syscall),
        number if wait::takes_descriptor(number) => wait::descriptor(syscall.args[0]),
        _ => None,
    }
}

fn phase(number: i64) -> Option<&'static str> {
    match number {
        libc::SYS_connect => Some("connect"),
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_sendmmsg
        | libc::SYS_sendfile => Some("write"),
        _ => None,
    }
}

/// The address in `connect`'s own arguments.
fn connecting(syscall: &Syscall) -> Option<Peer> {
    let length = usize::try_from(syscall.args[2]).ok()?.min(ADDRESS_BYTES);
    let address = memory::bytes(syscall.args[1], length as u64)?;
    parse(&address)
}

/// The address that the kernel knows. It wants the exact length of the family's address, no more.
pub(super) fn name_of(socket: i32) -> Option<Peer> {
    match fd::int_option(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)? {
        libc::AF_INET => fd::option::<16>(socket, libc::SOL_SOCKET, SO_PEERNAME)
            .and_then(|(bytes, n)| parse(&bytes[..n])),
        libc::AF_INET6 => fd::option::<28>(socket, libc::SOL_SOCKET, SO_PEERNAME)
            .and_then(|(bytes, n)| parse(&bytes[..n])),
        libc::AF_UNIX => unix_name(socket),
        _ => None,
    }
}

/// The port of this end, of TCP and UDP.
pub(super) fn own_port(socket: i32) -> Option<u16> {
    let mut bytes = [0u8; ADDRESS_BYTES];
    let mut length = ADDRESS_BYTES as libc::socklen_t;
    // SAFETY: `bytes` and `length` are ours to write, and the kernel writes at most `length` bytes.
    let failed =
        unsafe { libc::getsockname(socket, bytes.as_mut_ptr().cast(), &raw mut length) } != 0;
    if failed {
        return None;
    }
    parse(bytes.get(..length as usize)?)?.port
}

/// The port that a listener accepts on.
pub(super) fn listening_port(socket: i32) -> Option<u16> {
    let listens = fd::int_option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0;
    own_port(socket).filter(|_| listens)
}

fn unix_name(socket: i32) -> Option<Peer> {
    let mut bytes = [0u8; ADDRESS_BYTES];
    let mut length = ADDRESS_BYTES as libc::socklen_t;
    // SAFETY: `bytes` and `length` are ours to write, and the kernel writes at most `length` bytes.
    let failed =
        unsafe { libc::getpeername(socket, bytes.as_mut_ptr().cast(), &raw mut length) } != 0;
    if failed {
        None
    } else {
        parse(bytes.get(..length as usize)?)
    }
}

/// A socket address as the kernel lays it out.
fn parse(address: &[u8]) -> Option<Peer> {
    let family = i32::from(u16::from_ne_bytes(address.get(..2)?.try_into().ok()?));
    let mut peer = Peer::default();
    match family {
        libc::AF_INET => {
            let ip: [u8; 4] = address.get(4..8)?.try_into().ok()?;
            set_address(&mut peer, Ipv4Addr::from(ip).into(), address)?;
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = address.get(8..24)?.try_into().ok()?;
            set_address(&mut peer, Ipv6Addr::from(ip).to_canonical(), address)?;
            // A link-local address means nothing without its link.
            match (&mut peer.address, zone(address)) {
                (Some(text), Some(zone)) if Ipv6Addr::from(ip).to_ipv4_mapped().is_none() => {
                    *text += &format!("%{zone}");
                }
                _ => {}
            }
        }
        libc::AF_UNIX => peer.address = Some(unix_path(address.get(2..)?)?),
        _ => return None,
    }
    Some(peer)
}

fn set_address(peer: &mut Peer, ip: IpAddr, address: &[u8]) -> Option<()> {
    peer.address = Some(ip.to_string());
    peer.port = Some(u16::from_be_bytes(address.get(2..4)?.try_into().ok()?));
    Some(())
}

/// The index of the interface that an IPv6 address is of.
fn zone(address: &[u8]) -> Option<u32> {
    let zone = u32::from_ne_bytes(address.get(24..28)?.try_into().ok()?);
    (zone != 0).then_some(zone)
}

/// A Unix socket's path; an abstract one begins with a zero byte and is written with `@`, as `ss` does.
fn unix_path(path: &[u8]) -> Option<String> {
    let (mark, path) = match path {
        [] => return None,
        [0, name @ ..] => ("@", name),
        path => ("", path),
    };
    let end = path
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(path.len());
    if end == 0 {
        None
    } else {
        Some(format!("{mark}{}", String::from_utf8_lossy(&path[..end])))
    }
}

/// The kernel's `tcp_info`: its beginning, which every version has, and the counts of segments, which came with Linux 4.6.
#[derive(Clone, Copy)]
pub(super) struct TcpInfo {
    bytes: [u8; Self::BYTES],
    length: usize,
}

impl TcpInfo {
    const BYTES: usize = 160;
    const LEAST_BYTES: usize = 56;

    /// `None` for what is not TCP.
    pub(super) fn of(socket: i32) -> Option<Self> {
        let (info, length) =
            fd::option::<{ Self::BYTES }>(socket, libc::IPPROTO_TCP, libc::TCP_INFO)?;
        (length >= Self::LEAST_BYTES).then_some(Self {
            bytes: info,
            length,
        })
    }

    pub(super) fn state(&self) -> Option<&'static str> {
        const STATES: [&str; 12] = [
            "ESTABLISHED",
            "SYN_SENT",
            "SYN_RECV",
            "FIN_WAIT1",
            "FIN_WAIT2",
            "TIME_WAIT",
            "CLOSE",
            "CLOSE_WAIT",
            "LAST_ACK",
            "LISTEN",
            "CLOSING",
            "NEW_SYN_RECV",
        ];
        STATES
            .get(usize::from(self.bytes[0]).checked_sub(1)?)
            .copied()
    }

    fn word(&self, at: usize) -> u32 {
        let known = &self.bytes[..self.length.min(Self::BYTES)];
        let bytes = known.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    }

    /// Of a listener: connections that wait for `accept`. Elsewhere the field (`tcpi_unacked`) means something else.
    pub(super) fn accept_queue(&self) -> u32 {
        self.word(24)
    }

    /// Of a listener: its backlog. Elsewhere the field (`tcpi_sacked`) means something else.
    pub(super) fn accept_queue_limit(&self) -> u32 {
        self.word(28)
    }

    /// Since data was last sent, once it is connected.
    pub(super) fn last_data_sent_ms(&self) -> u32 {
        self.word(44)
    }

    /// Since data last came, or else since it was connected.
    pub(super) fn last_data_received_ms(&self) -> u32 {
        self.word(52)
    }

    /// Segments with data that came and went, the fewer of both: no more messages can have been answered.
    pub(super) fn rounds(&self) -> u32 {
        self.word(152).min(self.word(156))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(address: &[u8]) -> Option<(String, Option<u16>)> {
        parse(address).and_then(|peer| Some((peer.address?, peer.port)))
    }

    #[test]
    fn addresses_of_each_family() {
        assert_eq!(
            parsed(&[2, 0, 0x1f, 0x90, 10, 0, 0, 7]),
            Some(("10.0.0.7".to_owned(), Some(8080)))
        );
        let mut v6 = [0u8; 28];
        v6[..4].copy_from_slice(&[10, 0, 0x14, 0xeb]);
        v6[23] = 1;
        assert_eq!(parsed(&v6), Some(("::1".to_owned(), Some(5355))));
        v6[18..24].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(
            parsed(&v6),
            Some(("127.0.0.1".to_owned(), Some(5355))),
            "an IPv4 address in IPv6's clothes"
        );
        let mut link_local = [0u8; 28];
        link_local[..4].copy_from_slice(&[10, 0, 0x14, 0xeb]);
        link_local[8..10].copy_from_slice(&[0xfe, 0x80]);
        (link_local[23], link_local[24]) = (7, 3);
        assert_eq!(
            parsed(&link_local),
            Some(("fe80::7%3".to_owned(), Some(5355)))
        );
        assert_eq!(
            parsed(b"\x01\0/run/db.sock\0"),
            Some(("/run/db.sock".to_owned(), None))
        );
        assert_eq!(parsed(b"\x01\0\0bus"), Some(("@bus".to_owned(), None)));
        assert_eq!(parsed(b"\x01\0"), None, "an unnamed Unix socket");
        assert_eq!(parsed(&[2, 0, 1]), None, "cut");
    }
}
