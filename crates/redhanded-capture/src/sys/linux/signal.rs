//! The signal and its handler.
//!
//! # The signal contract
//!
//! The handler runs inside somebody else's code, at any instruction: in `malloc`, in the loader, in the middle of a panic.
//! So it may do only this, and does only this:
//!
//! 1. read the `siginfo_t` and `ucontext_t` it was given, and memory between the interrupted stack pointer's red zone and the
//!    end of the thread's stack, which is mapped for as long as the thread runs on it;
//! 2. write to one static [`Slot`], after winning it by compare-and-swap, at most [`STACK_BYTES`] of it;
//! 3. call `gettid`, `getpid` and `futex` as bare system calls;
//! 4. call the previous handler for signals that are not ours.
//!
//! No allocation, no lock, no thread-local, no unwinding, no formatting, no panic. `errno` is put back. That is enough: a
//! copy of the stack and the registers is all that unwinding needs, and unwinding happens on the watchdog's thread.
//!
//! `SIGURG` because its default is to be ignored, so a stray one harms nobody. `SA_ONSTACK` because a thread near its guard
//! page has no room for the frame. `SA_RESTART` because most system calls then go on; the others are why only threads in
//! state R are signalled. Queued, because `si_value` then says for which capture: a late answer is told from a timely one.

use super::task::Task;
use crate::NoStack;
use crate::arch::{self, REGISTERS, STACK_POINTER};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

pub(super) const SIGNAL: i32 = libc::SIGURG;

/// The most that is copied of a stack.
pub(super) const STACK_BYTES: usize = 64 << 10;

/// What the handler brought back; its stack lies in the caller's buffer.
pub(super) struct Copied {
    pub(super) registers: [u64; REGISTERS],
    /// Address of the first copied byte.
    pub(super) base: usize,
    /// How many bytes were copied.
    pub(super) length: usize,
}

/// Where handler and watchdog meet. `state` is `sequence << 8 | phase` and owns `content`: the watchdog's in every phase but
/// [`COPYING`], in which it is the handler's.
struct Slot {
    state: AtomicU64,
    tid: AtomicU32,
    content: UnsafeCell<Content>,
}

struct Content {
    thread_pointer: usize,
    stack: Range<usize>,
    registers: [u64; REGISTERS],
    base: usize,
    length: usize,
    bytes: [u8; STACK_BYTES],
}

const IDLE: u64 = 0;
const ARMED: u64 = 1;
const COPYING: u64 = 2;
const DONE: u64 = 3;
/// The thread was not on its stack; nothing was copied.
const ELSEWHERE: u64 = 4;

// SAFETY: `state` hands `content` over with acquire and release between exactly one watchdog (under `TURN`) and one handler.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    state: AtomicU64::new(IDLE),
    tid: AtomicU32::new(0),
    content: UnsafeCell::new(Content {
        thread_pointer: 0,
        stack: 0..0,
        registers: [0; REGISTERS],
        base: 0,
        length: 0,
        bytes: [0; STACK_BYTES],
    }),
};

/// One capture at a time, whichever install asks.
static TURN: Mutex<()> = Mutex::new(());
static SEQUENCE: AtomicU32 = AtomicU32::new(0);
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Marks our signals. The slot's address is in it: two copies of this crate in one process do not take each other's.
fn tag() -> u32 {
    (&raw const SLOT as usize as u32) ^ 0x7265_6468
}

// ------------------------------------------------------------------------------------------------ in the handler

unsafe extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to an SA_SIGINFO handler.
    let Some(sequence) = (unsafe { our_sequence(info) }) else {
        // SAFETY: as above; the previous handler gets what it would have got without us.
        return unsafe { call_previous(signal, info, context) };
    };
    // SAFETY: each thread has an errno of its own for as long as it runs.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    // SAFETY: `context` is this handler's third argument.
    unsafe { answer(sequence, context) };
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// The capture that this signal was sent for; `None` if somebody else sent it.
///
/// # Safety
/// `info` is valid.
unsafe fn our_sequence(info: *const libc::siginfo_t) -> Option<u32> {
    // SAFETY: the caller's promise; for a queued signal the kernel has filled pid and value.
    let (code, pid, value) = unsafe {
        (
            (*info).si_code,
            (*info).si_pid(),
            (*info).si_value().sival_ptr as u64,
        )
    };
    // SAFETY: getpid takes no arguments. A forked child must not answer for its parent.
    let ours =
        code == libc::SI_QUEUE && pid == unsafe { libc::getpid() } && (value >> 32) as u32 == tag();
    ours.then_some(value as u32)
}

/// # Safety
/// `context` is the running handler's third argument.
unsafe fn answer(sequence: u32, context: *const c_void) {
    let sequence = u64::from(sequence) << 8;
    // SAFETY: gettid takes no arguments and cannot fail.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    if i64::from(SLOT.tid.load(Ordering::Relaxed)) != tid {
        return;
    }
    let won = SLOT.state.compare_exchange(
        sequence | ARMED,
        sequence | COPYING,
        Ordering::Acquire,
        Ordering::Relaxed,
    );
    if won.is_err() {
        return; // late: that capture was given up
    }
    // SAFETY: COPYING makes `content` ours until the store below; `context` by the caller's promise.
    let phase = unsafe { copy(&mut *SLOT.content.get(), context) };
    SLOT.state.store(sequence | phase, Ordering::Release);
    let word: *const u32 = SLOT.state.as_ptr().cast();
    // SAFETY: waking touches no memory; the word is a static.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    };
}

/// # Safety
/// `context` is the running handler's third argument.
unsafe fn copy(content: &mut Content, context: *const c_void) -> u64 {
    // SAFETY: the caller's promise.
    content.registers = unsafe { arch::interrupted_registers(context) };
    let sp = content.registers[STACK_POINTER] as usize;
    if sp < content.stack.start
        || sp >= content.stack.end
        || arch::thread_pointer() != content.thread_pointer
    {
        return ELSEWHERE;
    }
    content.base = arch::live_from(sp).max(content.stack.start);
    content.length = (content.stack.end - content.base).min(STACK_BYTES);
    // SAFETY: this is the very thread whose stack this is (same control block), it runs on it, and a stack is mapped from the
    // stack pointer's page up to its end; `bytes` has room and is not on a stack.
    unsafe {
        arch::copy_bytes(
            content.bytes.as_mut_ptr(),
            content.base as *const u8,
            content.length,
        )
    };
    DONE
}

/// # Safety
/// The arguments are the running handler's own.
unsafe fn call_previous(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(previous) = PREVIOUS.get() else {
        return;
    };
    if matches!(previous.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
        return; // both ignore SIGURG
    }
    if previous.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: SA_SIGINFO says that the address is a function of this type, and it was installed for this signal.
        unsafe {
            std::mem::transmute::<usize, Handler>(previous.sa_sigaction)(signal, info, context)
        };
    } else {
        // SAFETY: without SA_SIGINFO the address is a function of this type.
        unsafe {
            std::mem::transmute::<usize, unsafe extern "C" fn(i32)>(previous.sa_sigaction)(signal)
        };
    }
}

// ---------------------------------------------------------------------------------------------- on the watchdog

/// Installs the handler, once per process; tells why it could not be.
pub(super) fn install() -> Result<(), String> {
    INSTALLED.get_or_init(try_install).clone()
}

fn try_install() -> Result<(), String> {
    may_queue()?;
    // The handler must find its predecessor from its first signal on, so that is stored before.
    let previous = current_action().ok_or("SIGURG's handler cannot be read")?;
    PREVIOUS.get_or_init(|| previous);
    let handler: unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) = on_signal;
    // SAFETY: all zeroes is a valid sigaction; the mask is initialised by sigfillset before use; the handler keeps the contract.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigfillset(&raw mut action.sa_mask);
        // Blocked, a fault would kill the process without the application's own handler having its say.
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
        ] {
            libc::sigdelset(&raw mut action.sa_mask, fault);
        }
        libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) != 0
    };
    if failed {
        Err("SIGURG's handler cannot be installed".to_owned())
    } else {
        Ok(())
    }
}

/// A sandbox may forbid queued signals: ask with signal 0, which is never delivered.
fn may_queue() -> Result<(), String> {
    // SAFETY: gettid takes no arguments and cannot fail.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
    queue(tid, 0, 0).map_err(|error| format!("signals cannot be queued here (error {error})"))
}

fn current_action() -> Option<libc::sigaction> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action the call only writes the current one, completely, if it returns 0.
    unsafe {
        let read = libc::sigaction(SIGNAL, std::ptr::null(), action.as_mut_ptr()) == 0;
        read.then(|| action.assume_init())
    }
}

/// Whether our handler is still the one that the kernel would call.
pub(super) fn is_installed() -> bool {
    let handler: unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) = on_signal;
    current_action().is_some_and(|action| action.sa_sigaction == handler as usize)
}

/// Has a running thread copy its registers and stack into `into`. Waits until `until` at most.
pub(super) fn capture(
    task: &Task,
    until: Instant,
    into: &mut [u8; STACK_BYTES],
) -> Result<Copied, NoStack> {
    let _turn = turn(until)?;
    if !is_installed() {
        return Err(NoStack::SignalTaken);
    }
    if task.unanswered.load(Ordering::Relaxed) && task.has_pending(SIGNAL) {
        return Err(NoStack::Busy); // one undelivered signal is enough: they are queued, and the queue has a limit
    }
    let sequence = arm(task)?;
    if let Err(error) = queue(task.tid, SIGNAL, sequence) {
        disarm(sequence);
        return Err(if error == libc::ESRCH {
            NoStack::Gone
        } else {
            NoStack::Busy
        });
    }
    let answered = wait(sequence, until);
    task.unanswered.store(answered.is_err(), Ordering::Relaxed);
    if answered? == ELSEWHERE {
        return Err(NoStack::OutOfBounds);
    }
    // SAFETY: the phase is DONE and the turn is ours: nobody writes `content`.
    let content = unsafe { &*SLOT.content.get() };
    into[..content.length].copy_from_slice(&content.bytes[..content.length]);
    Ok(Copied {
        registers: content.registers,
        base: content.base,
        length: content.length,
    })
}

fn turn(until: Instant) -> Result<MutexGuard<'static, ()>, NoStack> {
    loop {
        match TURN.try_lock() {
            Ok(turn) => return Ok(turn),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(NoStack::Busy),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

fn arm(task: &Task) -> Result<u32, NoStack> {
    // An earlier target may have been taken off its CPU in the middle of its copy: the slot is still its own.
    if SLOT.state.load(Ordering::Acquire) & 0xff == COPYING {
        return Err(NoStack::Busy);
    }
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    // SAFETY: no phase but COPYING lets the handler in, the next ARMED is ours to set, and the turn is ours.
    let content = unsafe { &mut *SLOT.content.get() };
    content.thread_pointer = task.thread_pointer;
    content.stack = task.stack.clone();
    content.length = 0;
    SLOT.tid.store(task.tid, Ordering::Relaxed);
    SLOT.state
        .store(u64::from(sequence) << 8 | ARMED, Ordering::Release);
    Ok(sequence)
}

/// Gives a capture up; `false` if the handler has begun.
fn disarm(sequence: u32) -> bool {
    let sequence = u64::from(sequence) << 8;
    SLOT.state
        .compare_exchange(
            sequence | ARMED,
            sequence | IDLE,
            Ordering::AcqRel,
            Ordering::Acquire,
        )
        .is_ok()
}

/// Waits for the handler; the phase it ended with.
fn wait(sequence: u32, until: Instant) -> Result<u64, NoStack> {
    loop {
        let state = SLOT.state.load(Ordering::Acquire);
        if matches!(state & 0xff, DONE | ELSEWHERE) {
            return Ok(state & 0xff);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero()
            && (disarm(sequence) || SLOT.state.load(Ordering::Acquire) & 0xff == COPYING)
        {
            return Err(NoStack::Busy);
        }
        let pause = left.min(Duration::from_millis(1));
        let pause = libc::timespec {
            tv_sec: 0,
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let word: *const u32 = SLOT.state.as_ptr().cast();
        // SAFETY: the word is a static and the timeout lives across the call; a little-endian low half is its value's.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word,
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                state as u32,
                &raw const pause,
            );
        }
    }
}

/// Queues a signal for one thread of this process, with our mark; the error number if it fails.
fn queue(tid: u32, signal: i32, sequence: u32) -> Result<(), i32> {
    /// The kernel's `siginfo_t` as a queued signal fills it.
    #[repr(C)]
    struct Info {
        signal: i32,
        errno: i32,
        code: i32,
        padding: i32,
        pid: i32,
        uid: u32,
        value: u64,
        rest: [u64; 12],
    }
    // SAFETY: both take no arguments.
    let (pid, uid) = unsafe { (libc::getpid(), libc::getuid()) };
    let value = u64::from(tag()) << 32 | u64::from(sequence);
    let info = Info {
        signal,
        errno: 0,
        code: libc::SI_QUEUE,
        padding: 0,
        pid,
        uid,
        value,
        rest: [0; 12],
    };
    // SAFETY: `info` has the size and layout of a siginfo_t, which the kernel only reads; the target is of this process.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            pid,
            tid,
            signal,
            &raw const info,
        )
    } != 0;
    if failed {
        Err(std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL))
    } else {
        Ok(())
    }
}
