//! `threads`: CPU time per request when one, two and sixteen threads serve at once, bare and
//! watched. What watching adds should not grow with the threads: no shared line is fought over.

use redhanded_benches::{Around, send};
use std::sync::{Arc, Barrier};

/// By each thread: long enough for a clock that moves with the scheduler.
const REQUESTS: u64 = 100_000;
const ROUNDS: usize = 5;

/// CPU time of this thread in nanoseconds.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ')
        .next()
        .and_then(|ns| ns.parse().ok())
        .unwrap_or(0)
}

/// Nanoseconds of CPU per request, `threads` at once on one app.
fn measure(app: &axum::Router, threads: usize) -> f64 {
    let barrier = Arc::new(Barrier::new(threads));
    let serving: Vec<_> = (0..threads)
        .map(|_| {
            let (app, barrier) = (app.clone(), barrier.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                let uri = "/hello".parse().expect("a path");
                runtime.block_on(send(&app, &uri, 1000));
                barrier.wait();
                let before = cpu_ns();
                runtime.block_on(send(&app, &uri, REQUESTS));
                cpu_ns() - before
            })
        })
        .collect();
    let total: u64 = serving.into_iter().map(|t| t.join().unwrap_or(0)).sum();
    total as f64 / (REQUESTS * threads as u64) as f64
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() {
    let apps = [Around::Identity, Around::Redhanded].map(|around| (around, around.app()));
    for threads in [1, 2, 16] {
        // Alternating, so that both see the same machine; the median of the differences counts.
        let mut pairs: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| (measure(&apps[0].1, threads), measure(&apps[1].1, threads)))
            .collect();
        pairs.sort_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
        let (identity, watched) = pairs[ROUNDS / 2];
        println!(
            "{threads:2} threads: {identity:6.0} ns a request under a layer that does nothing, {watched:6.0} ns watched: {:+.0} ns",
            watched - identity
        );
    }
}
