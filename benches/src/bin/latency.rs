//! `latency`: how long from overdue to the verdict, and from the verdict to the line on disk;
//! p50 and p99, on an idle machine and with four times more busy threads than cores.
//!
//! Every stall has functions of its own, so that each has its own fingerprint and none of their
//! lines is rate-limited.

use axum::Router;
use axum::routing::get;
use redhanded::report::{Class, Event, Report};
use redhanded::sink::Sink;
use redhanded::{Redhanded, Stats};
use redhanded_benches::once;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const SLOW_AFTER: Duration = Duration::from_millis(400);
/// Long enough to be looked at, short enough to have many.
const STALL: Duration = Duration::from_millis(700);

#[inline(never)]
async fn spins<const N: u64>() {
    let begun = Instant::now();
    let mut x = N;
    while begun.elapsed() < STALL {
        x = black_box(x.wrapping_mul(31) + N);
    }
}

#[inline(never)]
async fn blocks<const N: u64>() {
    std::thread::sleep(STALL + Duration::from_nanos(black_box(N)));
}

#[inline(never)]
async fn waits<const N: u64>() {
    tokio::time::sleep(STALL + Duration::from_nanos(black_box(N))).await;
}

macro_rules! routes {
    ($($n:literal)*) => {
        fn routes() -> (Router, Vec<String>) {
            let mut router = Router::new();
            let mut uris = Vec::new();
            $(
                for (kind, handler) in [("spins", get(spins::<$n>)), ("blocks", get(blocks::<$n>)), ("waits", get(waits::<$n>))] {
                    let uri = format!("/{kind}/{}", $n);
                    router = router.route(&uri, handler);
                    uris.push(uri);
                }
            )*
            (router, uris)
        }
    };
}
routes! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 }

/// One caught request.
struct Found {
    class: Class,
    to_verdict_ms: f64,
    to_disk_ms: f64,
}

/// Called when a line is on disk.
struct Collect(Mutex<Sender<Found>>);

impl Sink for Collect {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        let (Event::Caught, Some(verdict)) = (report.event, &report.verdict) else {
            return;
        };
        let verdict_at = humantime::parse_rfc3339(&report.time).unwrap_or(SystemTime::UNIX_EPOCH);
        let to_disk = SystemTime::now()
            .duration_since(verdict_at)
            .unwrap_or_default();
        let overdue_ms = report
            .elapsed_ms
            .zip(report.slow_after_ms)
            .map_or(0.0, |(e, s)| e - s);
        let found = Found {
            class: verdict.class,
            to_verdict_ms: overdue_ms,
            to_disk_ms: to_disk.as_secs_f64() * 1e3,
        };
        if let Ok(sender) = self.0.lock() {
            let _ = sender.send(found);
        }
    }
    fn flush(&self, _: Duration) -> bool {
        true
    }
    fn lost(&self) -> u64 {
        0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = std::env::temp_dir().join(format!("redhanded-latency-{}.jsonl", std::process::id()));
    let (sender, found) = channel();
    let builder = Redhanded::builder("latency")
        .slow_after(SLOW_AFTER)
        .slow_log(&log);
    let redhanded = builder.sink(Collect(Mutex::new(sender))).install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (router, uris) = routes();
    let app = router.layer(redhanded.layer()).with_state(());
    // The first ones load the symbols, which happens once in a process.
    let (warm_up, measured) = uris.split_at(6);
    let (idle, busy) = measured.split_at(measured.len() / 2);
    run(&runtime, &app, warm_up);
    while found.try_recv().is_ok() {}
    print(
        "idle",
        run_and_collect(&runtime, &app, idle, &found),
        redhanded.stats(),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism()?.get();
    let hogs: Vec<_> = (0..4 * cores).map(|_| hog(stop.clone())).collect();
    print(
        "busy",
        run_and_collect(&runtime, &app, busy, &found),
        redhanded.stats(),
    );
    stop.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|h| drop(h.join()));
    let _ = std::fs::remove_file(&log);
    Ok(())
}

fn hog(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            black_box(());
        }
    })
}

/// One after the other: what is measured is one catch, not the machine under many.
fn run(runtime: &tokio::runtime::Runtime, app: &Router, uris: &[String]) {
    for uri in uris {
        let (app, uri) = (app.clone(), uri.parse().expect("a path"));
        let _ = runtime.block_on(runtime.spawn(async move { once(&app, &uri).await }));
    }
}

fn run_and_collect(
    runtime: &tokio::runtime::Runtime,
    app: &Router,
    uris: &[String],
    found: &Receiver<Found>,
) -> Vec<Found> {
    run(runtime, app, uris);
    let mut all = Vec::new();
    while all.len() < uris.len() {
        match found.recv_timeout(Duration::from_secs(2)) {
            Ok(one) => all.push(one),
            Err(_) => break,
        }
    }
    all
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn print(machine: &str, found: Vec<Found>, stats: Stats) {
    let percentiles = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let at = |q: f64| {
            values
                .get(((values.len().max(1) - 1) as f64 * q).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        format!(
            "p50 {:6.1} p99 {:6.1} max {:6.1}",
            at(0.5),
            at(0.99),
            at(1.0)
        )
    };
    for class in [Class::CpuLoop, Class::BlockedThread, Class::StuckAwait] {
        let of_class = || found.iter().filter(|f| f.class == class);
        println!(
            "{machine} {class:14} {:3} caught | overdue to verdict, ms: {} | verdict to disk, ms: {}",
            of_class().count(),
            percentiles(of_class().map(|f| f.to_verdict_ms).collect()),
            percentiles(of_class().map(|f| f.to_disk_ms).collect()),
        );
    }
    println!("{machine} all {} caught | {stats:?}", found.len());
}
