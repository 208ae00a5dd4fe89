//! Threads to look at.

use redhanded_capture::{RawStack, Sampler, Thread};
use std::hint::black_box;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

/// Every workload's outermost frame: a stack that claims to be complete and lacks it is false.
#[inline(never)]
pub(crate) fn work_root(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

/// Starts a thread that does `work` below [`work_root`].
pub(crate) fn start(work: impl FnMut() + Send + 'static) -> Thread {
    start_with_stack(8 << 20, work)
}

pub(crate) fn start_with_stack(stack: usize, mut work: impl FnMut() + Send + 'static) -> Thread {
    let (send, receive) = mpsc::channel();
    let body = move || {
        send.send(Thread::current()).expect("somebody waits");
        work_root(&mut work);
    };
    std::thread::Builder::new()
        .stack_size(stack)
        .spawn(body)
        .expect("starts");
    receive.recv().expect("registers")
}

/// Calls itself `depth` times, with a frame of some 150 bytes each, then calls `leaf`.
#[inline(never)]
pub(crate) fn recurse(depth: usize, leaf: &mut dyn FnMut()) -> usize {
    let local = black_box([depth; 12]);
    let below = if depth == 0 {
        leaf();
        1
    } else {
        recurse(depth - 1, leaf)
    };
    below + black_box(&local)[3]
}

#[inline(never)]
pub(crate) fn tight() {
    loop {
        black_box(());
    }
}

pub(crate) fn has_function(stack: &RawStack, function: usize) -> bool {
    stack
        .frames
        .iter()
        .any(|frame| frame.function == Some(function as u64))
}

pub(crate) fn is_rooted(stack: &RawStack) -> bool {
    has_function(stack, work_root as fn(&mut dyn FnMut()) as usize)
}

/// Waits until the thread is blocked in the named system call; polling, because only the kernel knows when.
pub(crate) fn wait_until_in(
    sampler: &mut Sampler,
    thread: &Thread,
    call: &str,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let activity = sampler.activity(thread);
        let name = activity.syscall.map(|syscall| syscall.name());
        if name == Some(call) && activity.state != Some('R') {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(format!("never came to {call}: {activity:?}"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A pseudo-random pause of up to 8 µs, so that captures do not fall into step with the target.
pub(crate) fn jitter(seed: &mut u64) {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let pause = Duration::from_nanos(*seed >> 51);
    let begun = Instant::now();
    while begun.elapsed() < pause {
        std::hint::spin_loop();
    }
}
