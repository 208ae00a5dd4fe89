//! `shop`: a service as many are, with eight routes, four of which hang for one special value of a
//! parameter.
//!
//! ```text
//! shop --pictures DIRECTORY --north HOST:PORT --south HOST:PORT [--log PATH] [--core N]
//! ```
//!
//! With `--log` it is watched. With `--core` all its threads share that core, so that what a
//! request costs is what limits it. Standard output says where it listens.

mod options;
mod orders;
mod pictures;
mod search;
mod stock;
mod transfers;

use axum::extract::{Path, Query};
use axum::routing::get;
use axum::{Json, Router};
use options::Options;
use redhanded::Redhanded;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Deserialize;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};

/// Two culprits keep a worker each; the others serve.
const WORKERS: usize = 4;

/// Half the default, so that the culprits of a short run are caught before it ends.
const SLOW_AFTER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match Options::from_args(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    if let Some(core) = options.core {
        let mut cores = CpuSet::new();
        cores.set(core);
        // Threads that come later inherit it.
        sched_setaffinity(None, &cores)?;
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    keep_the_driver_driven(runtime.handle().clone());
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let redhanded = match &options.log {
        None => None,
        Some(log) => {
            let builder = Redhanded::builder("shop").slow_after(SLOW_AFTER);
            Some(builder.slow_log(log).install()?)
        }
    };
    let app = app(&options, redhanded.is_some());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string())?;
    let Some(redhanded) = redhanded else {
        return Ok(axum::serve(listener, app).await?);
    };
    let counts = redhanded.clone();
    let stats = get(async move || stats(&counts));
    // After the layer: what looks at the watching is not watched itself.
    let app = app.layer(redhanded.layer()).route("/stats", stats);
    Ok(axum::serve(redhanded.listener(listener), app).await?)
}

fn app(options: &Options, watched: bool) -> Router {
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/users/{id}", get(user))
        .route("/nap", get(nap))
        .route("/orders/{number}/lines", get(orders::lines))
        .merge(search::routes())
        .merge(pictures::routes(options.pictures.clone()))
        .merge(transfers::routes())
        .merge(stock::routes(&options.north, &options.south, watched))
}

async fn user(Path(id): Path<u64>) -> String {
    format!("user {id}")
}

#[derive(Deserialize)]
struct Nap {
    ms: u64,
}

async fn nap(Query(nap): Query<Nap>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(nap.ms.min(100))).await;
    "rested"
}

fn stats(redhanded: &Redhanded) -> Json<serde_json::Value> {
    let stats = redhanded.stats();
    Json(serde_json::json!({
        "in_flight": redhanded.in_flight(),
        "completed": stats.ended.completed,
        "ended": stats.ended.total(),
        "caught": stats.caught,
        "unwatched": stats.unwatched,
        "internal_errors": stats.internal_errors,
        "lost_reports": stats.lost.reports,
        "lost_stacks": stats.lost.stacks,
        "lost_events": stats.lost.events,
    }))
}

fn announce(address: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{address}")?;
    stdout.flush()
}

/// A worker that goes from tokio's I/O driver straight into a poll that does not return leaves the
/// driver to nobody, though others are idle (tokio#4730): nobody would be served any more, watched
/// or not. Whatever is spawned wakes one that takes over.
fn keep_the_driver_driven(runtime: Handle) {
    std::thread::spawn(move || {
        loop {
            runtime.spawn(async {});
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}
