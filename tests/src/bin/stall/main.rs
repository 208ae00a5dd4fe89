//! A server that hangs on request: one process, one way to hang (or a few that belong together).
//!
//! ```text
//! stall NAME… [--log PATH] [--without] [--workers N | --current-thread] [--slow-after MS] …
//! ```
//!
//! Each stall is served at `/NAME/{id}`, `/healthy` answers at once, and both are watched unless
//! `--without` is given. `/stats`, which nobody watches, tells what redhanded counted. Standard
//! output says `port N` when the server listens, and what else a test cannot know.

mod alike;
mod blocked;
mod bodies;
mod cpu;
mod hosts;
mod memory;
mod options;
mod peers;
mod spin;
mod waits;

use axum::routing::{any, get};
use axum::{Json, Router};
use options::Options;
use redhanded::{Redhanded, slow_after};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Memory is counted in every stall, so that every test of a hang sees that it changes nothing else.
#[global_allocator]
static ALLOCATOR: redhanded::alloc::Counting = redhanded::alloc::Counting::new(std::alloc::System);

/// Number of `SIGURG` on Linux.
const SIGURG: i32 = 23;

/// How often the application's own `SIGURG` handler has run.
static URGENT: AtomicU64 = AtomicU64::new(0);

/// Tells the test something, as a line `key value` on standard output.
pub(crate) fn tell(key: &str, value: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    let told = writeln!(stdout, "{key} {value}").and_then(|()| stdout.flush());
    told.expect("the test listens");
}

/// Tells the test that the stall happens in the next so many lines of this file.
macro_rules! stalls_in_the_next_lines {
    ($lines:literal) => {
        crate::tell(
            "lines",
            format_args!("{} {}", line!() + 1, line!() + $lines),
        )
    };
}
pub(crate) use stalls_in_the_next_lines;

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stall: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let runtime = runtime_of(options)?;
    let watch = if options.without {
        None
    } else {
        Some(install(options)?)
    };
    keep_the_driver_driven(runtime.handle().clone());
    runtime.block_on(async {
        let own_handler = if options.own_urgent {
            Some(signal(SignalKind::from_raw(SIGURG))?)
        } else {
            None
        };
        if let Some(mut own_handler) = own_handler {
            tokio::spawn(async move {
                while own_handler.recv().await.is_some() {
                    URGENT.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let app = app(options, watch.as_ref())?;
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        tell("port", listener.local_addr()?.port());
        let server = match &watch {
            Some(watch) if options.listener => {
                let listener = watch.listener(listener);
                tokio::spawn(axum::serve(listener, app).into_future())
            }
            _ => tokio::spawn(axum::serve(listener, app).into_future()),
        };
        match (options.exit_after, options.shutdown_after, &watch) {
            (Some(after), ..) => tokio::time::sleep(after).await,
            (_, Some(after), Some(watch)) => {
                tokio::time::sleep(after).await;
                tell("shutdown", watch.shutdown(Duration::from_secs(10)).await);
            }
            _ => server.await??,
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    // Whatever still hangs is left where it is, as a process that must go does.
    runtime.shutdown_background();
    Ok(())
}

fn runtime_of(options: &Options) -> std::io::Result<Runtime> {
    let mut builder = match options.workers {
        None => runtime::Builder::new_current_thread(),
        Some(workers) => {
            let mut builder = runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    if let Some(threads) = options.blocking_threads {
        builder.max_blocking_threads(threads);
    }
    builder.enable_all().build()
}

/// A worker that goes from tokio's I/O driver straight into a poll that does not return leaves the
/// driver to nobody, though other workers sleep (tokio#4730): with one hog no connection is served.
/// A task from outside makes a sleeping worker take over; new connections alone do not, as nobody
/// looks at them.
fn keep_the_driver_driven(runtime: runtime::Handle) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(50));
            runtime.spawn(async {});
        }
    });
}

fn install(options: &Options) -> Result<Redhanded, redhanded::Error> {
    let mut builder = Redhanded::builder("stall")
        .slow_after(options.slow_after)
        .metrics(options.metrics);
    for (route, after) in &options.routes {
        builder = builder.route(route, slow_after(*after));
    }
    if !options.headers.is_empty() {
        builder = builder.headers(&options.headers);
    }
    if let Some(log) = &options.log {
        builder = builder.slow_log(log);
    }
    if let Some(address) = options.health {
        builder = builder.health_listener(address);
    }
    if let Some(address) = options.agent {
        builder = builder.agent_check(address);
    }
    if let Some(after) = options.restart_after {
        builder = builder.restart_after(after);
    }
    let watch = builder.install()?;
    for (key, address) in [
        ("health", watch.health_address()),
        ("agent", watch.agent_check_address()),
    ] {
        if let Some(address) = address {
            tell(key, address);
        }
    }
    Ok(watch)
}

fn app(options: &Options, watch: Option<&Redhanded>) -> Result<Router, Box<dyn Error>> {
    let mut app = Router::new().route("/healthy", get(async || "well"));
    for name in &options.stalls {
        let kinds = [
            cpu::stall,
            blocked::stall,
            waits::stall,
            hosts::stall,
            bodies::stall,
            memory::stall,
            spin::stall,
            alike::stall,
        ];
        let stall = kinds.iter().find_map(|kind| kind(name));
        let stall = stall.ok_or_else(|| format!("there is no stall {name:?}"))?;
        let parameter = if name == "reset" { "token" } else { "id" };
        app = app.route(&format!("/{name}/{{{parameter}}}"), stall);
    }
    let Some(watch) = watch else { return Ok(app) };
    let counts = watch.clone();
    let stats = any(async move || stats(&counts));
    let ready = get(watch.readiness());
    let live = get(watch.liveness());
    // After the layer: what looks at the watching is not watched itself.
    let app = app.layer(watch.layer()).route("/stats", stats);
    let app = app.route("/ready", ready).route("/live", live);
    if !options.metrics {
        return Ok(app);
    }
    Ok(app.route("/metrics", get(watch.metrics_handler())))
}

fn stats(watch: &Redhanded) -> Json<serde_json::Value> {
    let stats = watch.stats();
    Json(serde_json::json!({
        "in_flight": watch.in_flight(),
        "caught": stats.caught,
        "unwatched": stats.unwatched,
        "internal_errors": stats.internal_errors,
        "lost": stats.lost.total(),
        "urgent": URGENT.load(Ordering::Relaxed),
    }))
}
