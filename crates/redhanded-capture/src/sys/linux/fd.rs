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
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat initialises `status` if it returns 0; only then is it read. A closed descriptor is an error, no harm.
    let mode = unsafe {
        if libc::fstat(fd, status.as_mut_ptr()) != 0 {
            return None;
        }
        status.assume_init().st_mode
    };
    Some(match mode & libc::S_IFMT {
        libc::S_IFSOCK => Kind::Socket,
        0 => Kind::Anonymous,
        _ => Kind::File,
    })
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
