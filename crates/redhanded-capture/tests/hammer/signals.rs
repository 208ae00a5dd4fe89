//! The application has its own ideas about SIGURG.

use crate::runner::{Tally, Verdict, captures};
use crate::target::{DEADLINE, has_function, start, tight, wait_until_in};
use redhanded_capture::{NoStack, Sampler, Thread};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) const NAMES: &[&str] = &["sigurg_chained", "sigurg_taken_later", "two_samplers"];

pub(crate) fn run(name: &str) -> Option<Verdict> {
    Some(match name {
        "sigurg_chained" => chained(),
        "sigurg_taken_later" => taken_later(),
        "two_samplers" => two_samplers(),
        _ => return None,
    })
}

static HEARD: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_urgent(_: i32) {
    HEARD.fetch_add(1, Ordering::Relaxed);
}

fn take_signal() {
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGURG, on_urgent as extern "C" fn(i32) as usize) };
}

/// A thread in `tight`, for sure.
fn spinning(sampler: &mut Sampler) -> Thread {
    let thread = start(tight);
    while !sampler
        .sample(&thread, DEADLINE)
        .is_ok_and(|sample| has_function(&sample.stack, tight as fn() as usize))
    {}
    thread
}

/// A handler that was there before us still hears every signal that is not ours, and none that is.
fn chained() -> Verdict {
    take_signal();
    let mut sampler = Sampler::new();
    let thread = spinning(&mut sampler);
    let mut tally = Tally::default();
    for round in 1..=captures() {
        // SAFETY: a signal to a thread of our own.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.tid(), libc::SIGURG) };
        let begun = Instant::now();
        while HEARD.load(Ordering::Relaxed) < round {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err(format!("signal {round} was not passed on"));
            }
        }
        let sample = sampler
            .sample(&thread, DEADLINE)
            .map_err(|reason| reason.to_string())?;
        tally.captures += 1;
        tally.complete += usize::from(sample.stack.complete);
    }
    match HEARD.load(Ordering::Relaxed) {
        heard if heard == captures() => Ok(tally),
        heard => Err(format!("{heard} heard of {}", captures())),
    }
}

/// A handler that is put over ours: nothing is sent any more, and it is said.
fn taken_later() -> Verdict {
    let mut sampler = Sampler::new();
    let thread = spinning(&mut sampler);
    sampler.abilities().running_threads?;
    take_signal();
    let (result, ability) = (
        sampler.sample(&thread, DEADLINE),
        sampler.abilities().running_threads,
    );
    if result != Err(NoStack::SignalTaken) || ability.is_ok() || HEARD.load(Ordering::Relaxed) != 0
    {
        return Err(format!("{result:?} {ability:?} {HEARD:?}"));
    }
    let blocked = start(|| std::thread::sleep(Duration::from_secs(100)));
    wait_until_in(&mut sampler, &blocked, "clock_nanosleep")?;
    let sample = sampler
        .sample(&blocked, DEADLINE)
        .map_err(|reason| reason.to_string())?;
    Ok(Tally {
        captures: 1,
        complete: usize::from(sample.stack.complete),
        impossible: 0,
        note: "blocked threads still work".to_owned(),
    })
}

/// Two installs side by side take turns.
fn two_samplers() -> Verdict {
    let mut first = Sampler::new();
    let thread = std::sync::Arc::new(spinning(&mut first));
    let hammer = |mut sampler: Sampler, thread: std::sync::Arc<Thread>| {
        let mut complete = 0;
        for _ in 0..captures() {
            let sample = sampler
                .sample(&thread, DEADLINE)
                .map_err(|reason| reason.to_string())?;
            complete += usize::from(
                sample.stack.complete && has_function(&sample.stack, tight as fn() as usize),
            );
        }
        Ok::<usize, String>(complete)
    };
    let other = thread.clone();
    let second = std::thread::spawn(move || hammer(Sampler::new(), other));
    let complete = hammer(first, thread)? + second.join().map_err(|_| "panicked")??;
    Ok(Tally {
        captures: captures() * 2,
        complete,
        impossible: captures() * 2 - complete,
        note: String::new(),
    })
}
