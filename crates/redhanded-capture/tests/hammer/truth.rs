//! The truth about a blocked thread's callers, by other means: a signal, in whose handler libgcc unwinds. That is safe only because
//! these targets sit in a system call; it also interrupts the call, which is why the library does not do it.

use redhanded_capture::Thread;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MOST: usize = 256;

struct Trace(UnsafeCell<[usize; MOST]>);

// SAFETY: written by the one handler that runs, read after `LENGTH` was published.
unsafe impl Sync for Trace {}

static TRACE: Trace = Trace(UnsafeCell::new([0; MOST]));
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a ucontext_t to this SA_SIGINFO handler.
    let pc =
        unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize] };
    let mut length = 0;
    // SAFETY: the only handler that runs, and nobody reads before LENGTH is set.
    let trace = unsafe { &mut *TRACE.0.get() };
    // SAFETY: the thread is in a system call: no unwinder's or loader's lock is held on it.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            trace[length] = frame.ip() as usize;
            length += 1;
            length < MOST
        });
    }
    INTERRUPTED.store(pc as usize, Ordering::Relaxed);
    LENGTH.store(length, Ordering::Release);
}

/// Return addresses of the thread's callers, innermost first, without the interrupted frame itself.
pub(crate) fn callers(thread: &Thread) -> Result<Vec<u64>, String> {
    let handler: unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) = on_signal;
    // SAFETY: all zeroes is a valid sigaction; the handler is of the type that SA_SIGINFO wants; the signal is unused otherwise.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
        libc::syscall(
            libc::SYS_tgkill,
            libc::getpid(),
            thread.tid(),
            libc::SIGUSR2,
        );
    }
    let begun = Instant::now();
    while LENGTH.load(Ordering::Acquire) == 0 {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the truth did not come".to_owned());
        }
        std::thread::yield_now();
    }
    // SAFETY: published by the Acquire load above, and no further signal is sent.
    let trace = unsafe { &(&*TRACE.0.get())[..LENGTH.load(Ordering::Acquire)] };
    let interrupted = INTERRUPTED.load(Ordering::Relaxed);
    let at = trace
        .iter()
        .position(|&ip| ip == interrupted)
        .ok_or("the interrupted frame is not in the trace")?;
    // libgcc goes one step past the outermost frame, to an address of zero.
    Ok(trace[at + 1..]
        .iter()
        .map(|&ip| ip as u64)
        .filter(|&ip| ip != 0)
        .collect())
}
