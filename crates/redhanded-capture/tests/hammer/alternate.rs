//! A thread that changes between two call chains, blocking and running in each: no stack may mix them.

use crate::runner::{Tally, Verdict, captures};
use crate::target::{DEADLINE, has_function, is_rooted, jitter, start};
use redhanded_capture::{NoStack, RawStack, Sampler};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) const NAMES: &[&str] = &["alternating", "no_eintr"];

pub(crate) fn run(name: &str) -> Option<Verdict> {
    match name {
        "alternating" => Some(alternating()),
        "no_eintr" => Some(no_eintr()),
        _ => None,
    }
}

#[inline(never)]
fn sleeper() {
    black_box(sleep_then_spin());
    black_box(());
}

#[inline(never)]
fn sleep_then_spin() -> u64 {
    std::thread::sleep(Duration::from_micros(40));
    spin(1)
}

#[inline(never)]
fn poller() {
    let local = black_box([3u64; 40]);
    black_box(poll_then_spin(&local));
    black_box(&local);
}

#[inline(never)]
fn poll_then_spin(local: &[u64; 40]) -> u64 {
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: 40_000,
    };
    // SAFETY: no descriptors, and a timeout that lives across the call.
    unsafe { libc::ppoll(std::ptr::null_mut(), 0, &raw const pause, std::ptr::null()) };
    spin(local[3])
}

#[inline(always)]
fn spin(seed: u64) -> u64 {
    let begun = Instant::now();
    let mut number = seed;
    while begun.elapsed() < Duration::from_micros(30) {
        number = number.wrapping_mul(3);
    }
    number
}

/// One of the two chains, whole.
fn is_possible(stack: &RawStack) -> bool {
    let has = |function: fn()| has_function(stack, function as usize);
    let sleeps = has_function(stack, sleep_then_spin as fn() -> u64 as usize);
    let polls = has_function(stack, poll_then_spin as fn(&[u64; 40]) -> u64 as usize);
    let (sleeper, poller) = (has(sleeper), has(poller));
    is_rooted(stack) && !(sleeper && poller) && (sleeper || !sleeps) && (poller || !polls)
}

fn alternating() -> Verdict {
    let thread = start(|| {
        loop {
            sleeper();
            poller();
        }
    });
    let mut sampler = Sampler::new();
    while !sampler
        .sample(&thread, DEADLINE)
        .is_ok_and(|sample| is_rooted(&sample.stack))
    {}
    let (mut tally, mut seed, mut by_signal, mut moved) = (Tally::default(), 1, 0, 0);
    while tally.captures + moved < captures() * 4 {
        jitter(&mut seed);
        match sampler.sample(&thread, DEADLINE) {
            Ok(sample) => {
                tally.captures += 1;
                by_signal += usize::from(sample.on_cpu);
                tally.complete += usize::from(sample.stack.complete);
                if sample.stack.complete && !is_possible(&sample.stack) {
                    tally.impossible += 1;
                    tally.note_example(&sample.stack);
                }
            }
            Err(NoStack::Moved) => moved += 1,
            Err(reason) => return Err(reason.to_string()),
        }
    }
    if by_signal == 0 || by_signal == tally.captures || tally.complete * 100 < tally.captures * 99 {
        return Err(format!(
            "{by_signal} of {} by signal, {} complete",
            tally.captures, tally.complete
        ));
    }
    let figures = format!(
        "{by_signal} by signal, {} without, {moved} refused",
        tally.captures - by_signal
    );
    tally.note.insert_str(0, &figures);
    Ok(tally)
}

/// System calls that a signal would turn into EINTR, even with SA_RESTART: a blocked thread never sees one from us.
fn no_eintr() -> Verdict {
    static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);
    fn check(result: i32) {
        // SAFETY: each thread has an errno of its own.
        if result < 0 && unsafe { *libc::__errno_location() } == libc::EINTR {
            INTERRUPTED.fetch_add(1, Ordering::Relaxed);
        }
    }
    let day = libc::timespec {
        tv_sec: 86_400,
        tv_nsec: 0,
    };
    // SAFETY: (all three) pointers live across the call, and counts are right.
    let threads = [
        start(move || unsafe {
            check(libc::ppoll(
                std::ptr::null_mut(),
                0,
                &raw const day,
                std::ptr::null(),
            ))
        }),
        // SAFETY: see above.
        start(move || unsafe { check(libc::nanosleep(&raw const day, std::ptr::null_mut())) }),
        start(move || {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: see above.
            unsafe {
                check(libc::epoll_wait(
                    libc::epoll_create1(0),
                    &raw mut event,
                    1,
                    86_400_000,
                ))
            };
        }),
    ];
    let mut sampler = Sampler::new();
    let calls = ["ppoll", "clock_nanosleep", "epoll_wait"];
    for (thread, call) in threads.iter().zip(calls) {
        crate::target::wait_until_in(&mut sampler, thread, call)?;
    }
    let mut tally = Tally::default();
    while tally.captures < captures() {
        for thread in &threads {
            let sample = sampler
                .sample(thread, DEADLINE)
                .map_err(|reason| reason.to_string())?;
            tally.captures += 1;
            tally.complete += usize::from(sample.stack.complete);
        }
    }
    match INTERRUPTED.load(Ordering::Relaxed) {
        0 => Ok(tally),
        count => Err(format!("{count} calls were interrupted")),
    }
}
