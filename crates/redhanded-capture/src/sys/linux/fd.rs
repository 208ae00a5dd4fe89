//! What is behind a descriptor of this process. Another thread may close or reuse it at any moment: each answer is of one
//! system call, none of them blocks or changes anything, and the caller checks afterwards that its thread still waits.

use std::mem::MaybeUninit;

/// The kind of thing behind a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Socket,
    /// A regular file, a directory, a pipe, a terminal, another device.
    File,
    /// Something without a place in the file system: epoll, eventfd, timerfd, inotify.
    Anonymous,
}

pub(super) fn kind(fd: i32) -> Option<Kind> {
    Some(match status(fd)?.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => Kind::Socket,
        0 => Kind::Anonymous,
        _ => Kind::File,
    })
}

/// A pipe, a FIFO, a terminal or another device of characters.
pub(super) fn is_pipe_or_terminal(fd: i32) -> bool {
    let mode = status(fd).map(|status| status.st_mode & libc::S_IFMT);
    matches!(mode, Some(libc::S_IFIFO | libc::S_IFCHR))
}

/// A socket's inode: no two sockets have the same at a time.
pub(super) fn socket_inode(fd: i32) -> Option<u64> {
    status_inode(fd)?
}

/// The inode of a socket; `Some(None)` for anything else that is open.
pub(super) fn status_inode(fd: i32) -> Option<Option<u64>> {
    let status = status(fd)?;
    let is_socket = status.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    Some(is_socket.then_some(status.st_ino))
}

fn status(fd: i32) -> Option<libc::stat> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat initialises `status` if it returns 0; only then is it read. A closed descriptor is an error, no harm.
    unsafe { (libc::fstat(fd, status.as_mut_ptr()) == 0).then(|| status.assume_init()) }
}

/// Whether two descriptors are duplicates of each other; unknown counts as no.
pub(super) fn are_the_same(one: i32, other: i32) -> bool {
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: compares two descriptors of our own process; nothing is written.
    unsafe {
        let pid = libc::getpid();
        libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, one, other) == 0
    }
}

/// How many bytes a socket has received that nobody has read; the end of the stream is none.
pub(super) fn unread_bytes(fd: i32) -> u32 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one integer, which is ours.
    let failed = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut bytes) } != 0;
    if failed {
        0
    } else {
        u32::try_from(bytes).unwrap_or(0)
    }
}

/// Whether a socket would take more to send; unknown counts as yes.
pub(super) fn takes_more(fd: i32) -> bool {
    let mut asked = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one entry, which is ours; with no time to wait the call does not block.
    let answered = unsafe { libc::poll(&raw mut asked, 1, 0) } >= 0;
    !answered || asked.revents != 0
}

/// Its path as the kernel shows it, such as `/var/log/app.log` or `pipe:[4711]`.
pub(super) fn path(fd: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// A socket option as bytes; the kernel's length is the answer's.
pub(super) fn option<const N: usize>(fd: i32, level: i32, name: i32) -> Option<([u8; N], usize)> {
    let mut value = [0u8; N];
    let mut length = N as libc::socklen_t;
    // SAFETY: `value` and `length` are ours to write, and the kernel writes at most `length` bytes.
    let failed =
        unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut length) }
            != 0;
    (!failed).then_some((value, (length as usize).min(N)))
}

/// A socket option that is one integer.
pub(super) fn int_option(fd: i32, level: i32, name: i32) -> Option<i32> {
    option(fd, level, name)
        .filter(|(_, length)| *length == 4)
        .map(|(value, _)| i32::from_ne_bytes(value))
}
