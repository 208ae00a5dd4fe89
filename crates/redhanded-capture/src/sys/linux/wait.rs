//! The kind of thing a system call waits for.

use super::fd::{self, Kind};
use super::memory;
use crate::Syscall;
use redhanded_report::{WaitKind, WaitingFor};

pub(crate) fn waits_for(syscall: &Syscall) -> Option<WaitingFor> {
    let name = syscall.name();
    let kind = match syscall.number {
        libc::SYS_futex => return Some(futex(syscall)),
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => WaitKind::Timer,
        libc::SYS_wait4 | libc::SYS_waitid | libc::SYS_vfork => WaitKind::Child,
        libc::SYS_connect | libc::SYS_accept | libc::SYS_accept4 => WaitKind::Socket,
        libc::SYS_semop | libc::SYS_semtimedop => WaitKind::Semaphore,
        libc::SYS_msgrcv
        | libc::SYS_msgsnd
        | libc::SYS_mq_timedreceive
        | libc::SYS_mq_timedsend => WaitKind::Channel,
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => return Some(opened(syscall)),
        libc::SYS_poll | libc::SYS_ppoll => return Some(polled(syscall)),
        libc::SYS_pause | libc::SYS_rt_sigtimedwait | libc::SYS_rt_sigsuspend => WaitKind::Other,
        libc::SYS_select | libc::SYS_pselect6 => WaitKind::Other,
        number if is_epoll(number) => WaitKind::Other,
        libc::SYS_io_uring_enter | libc::SYS_io_getevents => WaitKind::Other,
        number if takes_path(number) => WaitKind::File,
        number if takes_descriptor(number) => return behind(descriptor(syscall.args[0])?, name),
        _ => return None,
    };
    Some(WaitingFor::new(kind, name))
}

/// Calls that wait on the descriptor in their first argument.
pub(super) fn takes_descriptor(number: i64) -> bool {
    matches!(
        number,
        libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_pread64
            | libc::SYS_preadv
            | libc::SYS_preadv2
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_pwrite64
            | libc::SYS_pwritev
            | libc::SYS_pwritev2
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_sendfile
            | libc::SYS_splice
            | libc::SYS_flock
            | libc::SYS_fcntl
            | libc::SYS_fsync
            | libc::SYS_fdatasync
            | libc::SYS_sync_file_range
            | libc::SYS_ftruncate
            | libc::SYS_fallocate
            | libc::SYS_fstat
            | libc::SYS_getdents64
            | libc::SYS_ioctl
            | libc::SYS_close
            | libc::SYS_shutdown
    )
}

/// Calls that wait for a disk or a remote file system behind a path.
fn takes_path(number: i64) -> bool {
    matches!(
        number,
        libc::SYS_stat
            | libc::SYS_lstat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_access
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_mkdir
            | libc::SYS_mkdirat
            | libc::SYS_rmdir
            | libc::SYS_unlink
            | libc::SYS_unlinkat
            | libc::SYS_rename
            | libc::SYS_renameat
            | libc::SYS_renameat2
            | libc::SYS_readlink
            | libc::SYS_readlinkat
            | libc::SYS_truncate
            | libc::SYS_statfs
            | libc::SYS_fstatfs
            | libc::SYS_sync
            | libc::SYS_syncfs
            | libc::SYS_msync
    )
}

/// Calls that wait for whatever a set of descriptors has.
pub(super) fn is_epoll(number: i64) -> bool {
    matches!(
        number,
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2
    )
}

/// An argument as a descriptor; registers carry garbage in their upper half.
pub(super) fn descriptor(argument: u64) -> Option<i32> {
    let fd = argument as u32 as i32;
    (fd >= 0).then_some(fd)
}

fn behind(fd: i32, call: &str) -> Option<WaitingFor> {
    Some(match fd::kind(fd)? {
        Kind::Socket => WaitingFor::new(WaitKind::Socket, call),
        Kind::File => WaitingFor::new(
            WaitKind::File,
            fd::path(fd).unwrap_or_else(|| call.to_owned()),
        ),
        Kind::Anonymous => match fd::path(fd).as_deref() {
            Some("anon_inode:[timerfd]") => WaitingFor::new(WaitKind::Timer, "timerfd"),
            Some(path) => WaitingFor::new(WaitKind::Other, path),
            None => WaitingFor::new(WaitKind::Other, call),
        },
    })
}

/// A lock, by default. The join of a thread shows: the kernel wakes it, so it is the one wait that is not process-private.
fn futex(syscall: &Syscall) -> WaitingFor {
    const WAIT: u64 = 0;
    const WAIT_BITSET: u64 = 9;
    let [_, operation, value, ..] = syscall.args;
    let command = operation & libc::FUTEX_CMD_MASK as u64;
    let is_private = operation & libc::FUTEX_PRIVATE_FLAG as u64 != 0;
    let waits_for_tid = matches!(command, WAIT | WAIT_BITSET) && !is_private && value as u32 > 1;
    if waits_for_tid && std::path::Path::new(&format!("/proc/self/task/{}", value as u32)).exists()
    {
        return WaitingFor::new(WaitKind::Task, "thread");
    }
    WaitingFor::new(WaitKind::Lock, "futex")
}

/// The file that is being opened: a FIFO without its other end, a file on a mount that does not answer.
fn opened(syscall: &Syscall) -> WaitingFor {
    let pointer = if syscall.number == libc::SYS_open {
        syscall.args[0]
    } else {
        syscall.args[1]
    };
    WaitingFor::new(
        WaitKind::File,
        path_at(pointer).unwrap_or_else(|| syscall.name().to_owned()),
    )
}

/// A path of another thread's argument; shorter ones than the longest may lie at the end of a mapping.
fn path_at(pointer: u64) -> Option<String> {
    const PIECE: u64 = 64;
    let mut path = Vec::new();
    while path.len() < libc::PATH_MAX as usize {
        let at = pointer.checked_add(path.len() as u64)?;
        let piece = memory::bytes(at, PIECE - at % PIECE)?;
        match piece.iter().position(|&byte| byte == 0) {
            Some(end) => {
                path.extend_from_slice(&piece[..end]);
                return Some(String::from_utf8_lossy(&path).into_owned());
            }
            None => path.extend(piece),
        }
    }
    None
}

/// `poll` on one descriptor is how std and resolvers wait for it with a timeout.
fn polled(syscall: &Syscall) -> WaitingFor {
    match only_polled(syscall) {
        Some(fd) => behind(fd, syscall.name()),
        None if syscall.args[1] == 0 => Some(WaitingFor::new(WaitKind::Timer, syscall.name())),
        None => None,
    }
    .unwrap_or_else(|| WaitingFor::new(WaitKind::Other, syscall.name()))
}

/// The descriptor of a `poll` that has exactly one.
pub(super) fn only_polled(syscall: &Syscall) -> Option<i32> {
    let is_poll = matches!(syscall.number, libc::SYS_poll | libc::SYS_ppoll);
    if !is_poll || syscall.args[1] != 1 {
        return None;
    }
    let fd = i32::from_ne_bytes(memory::array(syscall.args[0])?);
    (fd >= 0).then_some(fd)
}
