//! Threads that are about to end, off their stack, at its very end, or deaf.

use crate::runner::{Tally, Verdict, captures};
use crate::target::{DEADLINE, has_function, start, start_with_stack, tight, wait_until_in};
use redhanded_capture::{NoStack, Sampler, Thread};
use std::arch::{asm, naked_asm};
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) const NAMES: &[&str] = &[
    "exiting_threads",
    "ended_thread",
    "signal_blocked",
    "sp_out_of_bounds",
    "near_guard_page",
    "wild_frame_pointer",
    "no_unwind_tables",
];

pub(crate) fn run(name: &str) -> Option<Verdict> {
    Some(match name {
        "exiting_threads" => exiting_threads(),
        "ended_thread" => ended_thread(),
        "signal_blocked" => signal_blocked(),
        "sp_out_of_bounds" => sp_out_of_bounds(),
        "near_guard_page" => near_guard_page(),
        "wild_frame_pointer" => wild_frame_pointer(),
        "no_unwind_tables" => no_unwind_tables(),
        _ => return None,
    })
}

fn one(complete: bool, note: &str) -> Verdict {
    Ok(Tally {
        captures: 1,
        complete: usize::from(complete),
        impossible: 0,
        note: note.to_owned(),
    })
}

/// Short-lived threads, looked at while they end.
fn exiting_threads() -> Verdict {
    static FRESH: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
    for _ in 0..2 {
        std::thread::spawn(|| {
            for round in 0u64.. {
                let body = move || {
                    let mut fresh = FRESH.lock().expect("no panic");
                    fresh.truncate(16);
                    fresh.push(Thread::current());
                    drop(fresh);
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_micros(round % 7 * 100) {}
                };
                std::thread::spawn(body).join().expect("no panic");
            }
        });
    }
    let mut sampler = Sampler::new();
    let (mut tally, mut gone) = (Tally::default(), 0);
    while tally.captures < captures() * 2 {
        let Some(thread) = FRESH.lock().expect("no panic").pop() else {
            continue;
        };
        match sampler.sample(&thread, Duration::from_millis(50)) {
            Ok(sample) => {
                tally.complete += usize::from(sample.stack.complete);
                // A thread that is about to end is in libc's own code, below which there is nothing of ours.
                tally.impossible += usize::from(sample.stack.frames.is_empty());
            }
            Err(NoStack::Gone) => gone += 1,
            Err(NoStack::Moved | NoStack::Busy | NoStack::OutOfBounds) => {}
            Err(reason) => return Err(reason.to_string()),
        }
        tally.captures += 1;
    }
    tally.note = format!("{gone} had ended");
    Ok(tally)
}

fn ended_thread() -> Verdict {
    let thread = std::thread::spawn(Thread::current)
        .join()
        .expect("no panic");
    let begun = Instant::now();
    while thread.is_alive() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    match Sampler::new().sample(&thread, DEADLINE) {
        Err(NoStack::Gone) => one(true, "told as gone"),
        other => Err(format!("{other:?}")),
    }
}

fn signal_blocked() -> Verdict {
    static DEAF: AtomicBool = AtomicBool::new(true);
    fn mask(how: i32) {
        // SAFETY: sigfillset initialises the set; the mask is this thread's own.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut set);
            libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
        }
    }
    let thread = start(|| {
        mask(libc::SIG_BLOCK);
        while DEAF.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        mask(libc::SIG_UNBLOCK);
        tight();
    });
    let mut sampler = Sampler::new();
    let begun = Instant::now();
    while sampler.sample(&thread, Duration::from_millis(5)) != Err(NoStack::Busy) {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err("never deaf".to_owned());
        }
    }
    for _ in 0..20 {
        let begun = Instant::now();
        if sampler.sample(&thread, Duration::from_millis(5)).is_ok()
            || begun.elapsed() > Duration::from_secs(2)
        {
            return Err(format!(
                "a deaf thread answered, or we waited: {:?}",
                begun.elapsed()
            ));
        }
    }
    DEAF.store(false, Ordering::Relaxed);
    let begun = Instant::now();
    loop {
        match sampler.sample(&thread, DEADLINE) {
            Ok(sample) if has_function(&sample.stack, tight as fn() as usize) => {
                return one(true, "20 times busy, then heard");
            }
            Ok(_) | Err(NoStack::Busy) if begun.elapsed() < Duration::from_secs(20) => {}
            other => return Err(format!("{other:?}")),
        }
    }
}

/// Waits for the first answer that is not about a thread still on its way.
fn settle(
    sampler: &mut Sampler,
    thread: &Thread,
    is_there: impl Fn(&Result<redhanded_capture::Sample, NoStack>) -> bool,
) -> Verdict {
    let begun = Instant::now();
    loop {
        let result = sampler.sample(thread, DEADLINE);
        if is_there(&result) {
            return one(result.is_ok_and(|sample| sample.stack.complete), "");
        }
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(format!("{result:?}"));
        }
    }
}

fn sp_out_of_bounds() -> Verdict {
    let thread = start(|| {
        let stack = Box::leak(vec![0u8; 65_536].into_boxed_slice());
        let top = stack.as_mut_ptr_range().end as usize & !15;
        // SAFETY: the new stack is valid memory, and the loop never returns to miss the old one.
        unsafe { asm!("mov rsp, {0}", "2: pause", "jmp 2b", in(reg) top, options(noreturn)) }
    });
    settle(&mut Sampler::new(), &thread, |result| {
        *result == Err(NoStack::OutOfBounds)
    })
}

/// With less than 600 bytes of stack left there is no room for a signal frame: the alternate stack must be used.
fn near_guard_page() -> Verdict {
    static DOWN: AtomicBool = AtomicBool::new(false);
    #[inline(never)]
    #[expect(unconditional_recursion, reason = "it ends in `tight`, which does not")]
    fn down(limit: usize, depth: u64) -> u64 {
        let local = black_box([depth; 4]);
        if (&raw const local as usize) - limit < 600 {
            DOWN.store(true, Ordering::Release);
            tight();
        }
        down(limit, depth + 1) + local[2]
    }
    let thread = start_with_stack(4 << 20, || {
        black_box(down(stack_start(), 0));
    });
    let before = action(libc::SIGSEGV);
    let mut sampler = Sampler::new();
    let there = |result: &Result<redhanded_capture::Sample, NoStack>| {
        DOWN.load(Ordering::Acquire)
            && matches!(result, Ok(sample) if !sample.stack.complete && has_function(&sample.stack, down as fn(usize, u64) -> u64 as usize))
    };
    let verdict = settle(&mut sampler, &thread, there)?;
    if action(libc::SIGSEGV) == before && before > 1 {
        Ok(verdict)
    } else {
        Err("std's own SIGSEGV handler is gone".to_owned())
    }
}

fn stack_start() -> usize {
    // SAFETY: the attributes are initialised by getattr and read before they are destroyed.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes);
        let (mut start, mut size) = (std::ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut start, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        start as usize
    }
}

fn action(signal: i32) -> usize {
    // SAFETY: with a null new action the call only writes the current one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action.sa_sigaction
    }
}

/// Code whose tables say "the frame is at RBP" while RBP is wild: an unwinder inside the handler faults here.
#[unsafe(naked)]
unsafe extern "C" fn wild() {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, 0x10",
        ".cfi_def_cfa_register rbp",
        "2: pause",
        "jmp 2b",
        ".cfi_endproc",
    )
}

fn wild_frame_pointer() -> Verdict {
    // SAFETY: it never returns.
    let thread = start(|| unsafe { wild() });
    let there = |result: &Result<redhanded_capture::Sample, NoStack>| matches!(result, Ok(sample) if !sample.stack.complete && sample.stack.frames.len() == 1);
    settle(&mut Sampler::new(), &thread, there)
}

/// Code that was made at run time.
fn no_unwind_tables() -> Verdict {
    let thread = start(|| {
        // SAFETY: a fresh page that is filled before it is called: `pause; jmp`.
        unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let page = libc::mmap(
                std::ptr::null_mut(),
                4096,
                rights,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            page.cast::<[u8; 4]>().write([0xf3, 0x90, 0xeb, 0xfc]);
            std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(page)();
        }
    });
    let mut sampler = Sampler::new();
    // The return address lies on top of the stack, so even this is whole.
    let verdict = settle(
        &mut sampler,
        &thread,
        |result| matches!(result, Ok(sample) if sample.stack.frames.first().is_some_and(|frame| frame.module.is_none())),
    )?;
    let blocked = start(|| std::thread::sleep(Duration::from_secs(100)));
    wait_until_in(&mut sampler, &blocked, "clock_nanosleep")?;
    Ok(verdict)
}
