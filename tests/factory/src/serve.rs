//! The process of a case: its application, watched or not.

use crate::{Case, Ground, Stdout, tell};
use axum::Router;
use axum::routing::get;
use axum::serve::Listener;
use redhanded::Redhanded;
use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

/// How a case is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where reports go; `None` when nobody watches.
    pub log: Option<PathBuf>,
    /// Workers of the runtime; zero is the current thread alone.
    pub workers: usize,
    /// The threshold.
    pub slow_after: Duration,
}

impl Options {
    /// `[--workers N] [--slow-after MS] [--log PATH | --without]`.
    ///
    /// # Errors
    ///
    /// What is not one of these.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            log: None,
            workers: 2,
            slow_after: Duration::from_millis(500),
        };
        let mut without = false;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--without" => without = true,
                "--log" => options.log = Some(value()?.into()),
                "--workers" => options.workers = value()?.parse()?,
                "--slow-after" => options.slow_after = Duration::from_millis(value()?.parse()?),
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        if without {
            options.log = None;
        }
        Ok(options)
    }
}

/// Serves a case for ever; tells its port.
///
/// # Errors
///
/// What the runtime, the install or the listener say.
pub fn serve(case: &Case, options: &Options) -> Result<(), Box<dyn Error>> {
    // In a build of the whole workspace reqwest speaks TLS and has no provider of its own; a second call changes nothing.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let runtime = runtime(case, options)?;
    let watch = install(case, options)?;
    keep_the_driver_driven(runtime.handle().clone());
    runtime.block_on(async {
        let ground = Ground {
            watch: watch.clone(),
            drain: Arc::default(),
        };
        let app = (case.app)(&ground).route("/health", get(async || "well"));
        let app = match &watch {
            Some(watch) => app.layer(watch.layer()),
            None => app,
        };
        run(case, app, &ground).await
    })
}

async fn run(case: &Case, app: Router, ground: &Ground) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell("port", listener.local_addr()?.port());
    if case.needs.stdout == Stdout::Unread {
        read_no_more()?;
    }
    match &ground.watch {
        Some(watch) => accept(case, watch.listener(listener), app, ground).await?,
        None => accept(case, listener, app, ground).await?,
    }
    Ok(())
}

async fn accept<L>(case: &Case, listener: L, app: Router, ground: &Ground) -> io::Result<()>
where
    L: Listener<Addr: Debug>,
{
    let serve = axum::serve(listener, app);
    if case.needs.drains {
        let drain = ground.drain.clone();
        let drained = async move { drain.notified().await };
        serve.with_graceful_shutdown(drained).await
    } else {
        serve.await
    }
}

fn runtime(case: &Case, options: &Options) -> io::Result<Runtime> {
    let mut builder = match case.needs.workers.unwrap_or(options.workers) {
        0 => runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = runtime::Builder::new_multi_thread();
            builder.worker_threads(workers);
            builder
        }
    };
    if let Some(threads) = case.needs.blocking_threads {
        builder.max_blocking_threads(threads);
    }
    builder.enable_all().build()
}

fn install(case: &Case, options: &Options) -> Result<Option<Redhanded>, redhanded::Error> {
    let Some(log) = &options.log else {
        return Ok(None);
    };
    let slow_after = case.needs.slow_after.unwrap_or(options.slow_after);
    let builder = Redhanded::builder(case.code).slow_after(slow_after);
    let builder = match case.needs.install {
        Some(more) => more(builder),
        None => builder,
    };
    builder.slow_log(log).install().map(Some)
}

/// From now on standard output is a pipe that nobody reads, and full but for a little.
fn read_no_more() -> Result<(), Box<dyn Error>> {
    io::stdout().flush()?;
    let (reader, writer) = io::pipe()?;
    std::mem::forget(reader);
    rustix::stdio::dup2_stdout(&writer)?;
    Ok(())
}

/// A worker that goes from tokio's I/O driver straight into a poll that does not return leaves the
/// driver to nobody, though other workers sleep (tokio#4730). A task from outside makes a sleeping
/// worker take over.
fn keep_the_driver_driven(runtime: runtime::Handle) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(50));
            runtime.spawn(async {});
        }
    });
}
