//! What counting adds to an allocation, under whichever global allocator the binary has.

use redhanded::Redhanded;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Allocations and frees of 64 bytes, one after the other, on behalf of a job that is watched.
pub fn pairs(count: u64) {
    let mut builder = Redhanded::builder("bench").slow_after(Duration::from_secs(3600));
    builder = builder.slow_log_to_stderr();
    let job = builder.install().map(|watch| watch.job("allocate"));
    let work = || {
        for _ in 0..count {
            drop(black_box(Box::new(black_box([0_u64; 8]))));
        }
    };
    match job {
        Ok(job) => job.run_blocking(work),
        Err(_) => work(),
    }
}

/// `COUNT`: that many pairs, for an instrument to look at; without it, the time of a pair is printed.
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
pub fn main(name: &str) {
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok());
    if let Some(count) = count {
        return pairs(count);
    }
    const PAIRS: u64 = 20_000_000;
    let times = (0..5).map(|_| {
        let begun = Instant::now();
        pairs(PAIRS);
        begun.elapsed().as_secs_f64() * 1e9 / PAIRS as f64
    });
    let best = times.fold(f64::INFINITY, f64::min);
    println!("{name}: {best:.2} ns for an allocation of 64 bytes and its free");
}
