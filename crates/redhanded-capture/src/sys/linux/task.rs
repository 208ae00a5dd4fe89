//! A thread as `/proc` shows it, through descriptors that were opened while it surely lived.

use crate::{Activity, Syscall, arch};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One thread of this process. Its descriptors pin the identity: once it has ended they read `ESRCH`, whoever has its id by then.
#[derive(Debug)]
pub(crate) struct Task {
    pub(super) tid: u32,
    /// See [`arch::thread_pointer`]: with the tid it tells this thread from a later one with the same id.
    pub(super) thread_pointer: usize,
    /// Empty if unknown.
    pub(super) stack: Range<usize>,
    /// A signal of ours was sent and never answered.
    pub(super) unanswered: AtomicBool,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    stat: File,
    schedstat: Option<File>,
    syscall: Option<File>,
}

/// Tasks that hold descriptors now.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// What `/proc/…/syscall` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Running or about to.
    Running,
    /// Blocked, with its stack pointer and instruction pointer in user space; in no system call for a page fault.
    Blocked {
        syscall: Option<Syscall>,
        sp: u64,
        pc: u64,
    },
}

/// What `/proc/…/schedstat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) cpu_ns: u64,
    pub(super) wait_ns: u64,
    pub(super) timeslices: u64,
}

impl Task {
    pub(crate) fn current() -> Self {
        // SAFETY: gettid takes no arguments and cannot fail.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) };
        let tid = u32::try_from(tid).unwrap_or(0);
        Self {
            tid,
            thread_pointer: arch::thread_pointer(),
            stack: current_stack().unwrap_or(0..0),
            unanswered: AtomicBool::new(false),
            files: Files::open(tid),
        }
    }

    pub(crate) fn tid(&self) -> u32 {
        self.tid
    }

    pub(crate) fn name(&self) -> Option<String> {
        if !self.is_alive() {
            return None;
        }
        let name = std::fs::read_to_string(self.path("comm")).ok()?;
        Some(name.trim_end().to_owned())
    }

    pub(crate) fn wait_channel(&self) -> Option<String> {
        let channel = std::fs::read_to_string(self.path("wchan")).ok()?;
        (self.is_alive() && !matches!(channel.as_str(), "" | "0")).then_some(channel)
    }

    pub(crate) fn is_alive(&self) -> bool {
        if self.files.is_some() {
            return !matches!(self.state(), Err(_) | Ok('X' | 'Z'));
        }
        // SAFETY: signal 0 is never delivered; the kernel only looks the thread up.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.tid, 0) == 0 }
    }

    /// Scheduler state; an error of `NotFound` kind if the thread has ended, of another kind if `/proc` is not there.
    pub(super) fn state(&self) -> io::Result<char> {
        let mut buffer = [0; 512];
        let files = self.files.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let line = read(&files.stat, &mut buffer).map_err(not_found_if_ended)?;
        // The name in parentheses may hold anything, parentheses too.
        let after_name = line
            .iter()
            .rposition(|&byte| byte == b')')
            .and_then(|at| line.get(at + 2));
        after_name
            .map(|&byte| char::from(byte))
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(super) fn schedule(&self) -> Option<Schedule> {
        let mut buffer = [0; 128];
        let line = read(self.files.as_ref()?.schedstat.as_ref()?, &mut buffer).ok()?;
        let mut fields = std::str::from_utf8(line)
            .ok()?
            .split_ascii_whitespace()
            .map(str::parse);
        let mut next = || fields.next()?.ok();
        Some(Schedule {
            cpu_ns: next()?,
            wait_ns: next()?,
            timeslices: next()?,
        })
    }

    pub(super) fn place(&self) -> Option<Place> {
        let mut buffer = [0; 256];
        let line = read(self.files.as_ref()?.syscall.as_ref()?, &mut buffer).ok()?;
        parse_place(std::str::from_utf8(line).ok()?)
    }

    pub(super) fn activity(&self) -> Activity {
        let schedule = self.schedule();
        let syscall = match self.place() {
            Some(Place::Blocked { syscall, .. }) => syscall,
            _ => None,
        };
        Activity {
            state: self.state().ok(),
            syscall,
            cpu_ns: schedule.map(|schedule| schedule.cpu_ns),
            run_queue_wait_ns: schedule.map(|schedule| schedule.wait_ns),
            timeslices: schedule.map(|schedule| schedule.timeslices),
        }
    }

    /// Whether a signal of this number waits to be delivered to this thread. Cold.
    pub(super) fn has_pending(&self, signal: i32) -> bool {
        let Ok(status) = std::fs::read_to_string(self.path("status")) else {
            return false;
        };
        let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:"));
        let mask = pending
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0);
        mask >> (signal - 1) & 1 == 1
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/self/task/{}/{file}", self.tid)
    }

    /// As on a system without `/proc`.
    #[cfg(test)]
    pub(super) fn without_files(mut self) -> Self {
        self.files = None;
        self
    }
}

impl Files {
    fn open(tid: u32) -> Option<Self> {
        if !may_open() {
            return None;
        }
        let open = |name: &str| File::open(format!("/proc/self/task/{tid}/{name}"));
        let files = Self {
            stat: open("stat").ok()?,
            schedstat: open("schedstat").ok(),
            syscall: open("syscall").ok(),
        };
        OPEN.fetch_add(1, Ordering::Relaxed);
        Some(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Three descriptors a thread may not eat up the process's own: a quarter of its limit is the most we take.
fn may_open() -> bool {
    const DESCRIPTORS: u64 = 3;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is ours to write.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return true;
    }
    (OPEN.load(Ordering::Relaxed) as u64 + 1) * DESCRIPTORS <= limit.rlim_cur / 4
}

fn read<'a>(file: &File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let count = file.read_at(buffer, 0)?;
    Ok(&buffer[..count])
}

fn not_found_if_ended(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ESRCH) {
        io::ErrorKind::NotFound.into()
    } else {
        error
    }
}

pub(super) fn parse_place(line: &str) -> Option<Place> {
    let line = line.trim_end();
    if line == "running" {
        return Some(Place::Running);
    }
    let mut words = line.split(' ');
    let number: i64 = words.next()?.parse().ok()?;
    let mut next = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    if number < 0 {
        return Some(Place::Blocked {
            syscall: None,
            sp: next()?,
            pc: next()?,
        });
    }
    let args = [next()?, next()?, next()?, next()?, next()?, next()?];
    Some(Place::Blocked {
        syscall: Some(Syscall::new(number, args)),
        sp: next()?,
        pc: next()?,
    })
}

/// Bounds of the calling thread's stack.
pub(super) fn current_stack() -> Option<Range<usize>> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: getattr initialises `attributes` if it returns 0; only then is it read, and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let known =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if !known {
            return None;
        }
    }
    let start = start as usize;
    Some(start..start.checked_add(size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_the_syscall_file() {
        assert_eq!(parse_place("running\n"), Some(Place::Running));
        assert_eq!(
            parse_place("-1 0x7ffe 0x55aa\n"),
            Some(Place::Blocked {
                syscall: None,
                sp: 0x7ffe,
                pc: 0x55aa
            })
        );
        let call = Syscall::new(202, [1, 0x80, 2, 0, 0, 0xffff_ffff_ffff_ffff]);
        assert_eq!(
            parse_place("202 0x1 0x80 0x2 0x0 0x0 0xffffffffffffffff 0x7f00 0x7f10\n"),
            Some(Place::Blocked {
                syscall: Some(call),
                sp: 0x7f00,
                pc: 0x7f10
            })
        );
        assert_eq!(parse_place(""), None);
        assert_eq!(parse_place("7 0x1"), None);
    }

    #[test]
    fn the_stack_holds_this_frame() {
        let local = 0u8;
        let stack = Task::current().stack;
        assert!(stack.contains(&(&raw const local as usize)), "{stack:x?}");
    }

    #[test]
    fn a_thread_that_ended_is_told_from_a_living_one() {
        let task = std::thread::spawn(Task::current).join().expect("no panic");
        // join returns when the kernel has cleared the thread's id, a moment before it is gone from /proc.
        for _ in 0..10_000 {
            if !task.is_alive() {
                return assert_eq!(task.name(), None);
            }
            std::thread::yield_now();
        }
        panic!("still alive: {:?}", task.state());
    }
}
