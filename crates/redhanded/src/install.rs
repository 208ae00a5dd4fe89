//! The handle of an install.

use crate::builder::Builder;
use crate::export;
use redhanded_core::sink::Sink;
use redhanded_core::{Asked, Config, Diagnostics, Error, Installed, Job, Stats};
use redhanded_tower::WatchLayer;
use std::time::{Duration, Instant};

/// An install: everything of ours in this process goes through it.
///
/// Cheap to clone; dropping it does nothing.
#[derive(Clone, Debug)]
pub struct Redhanded {
    pub(crate) installed: Installed,
    layer: WatchLayer,
    /// Goes on when the last handle is dropped, as all the others do.
    metrics: Option<&'static export::Metrics>,
}

impl Redhanded {
    /// Settings for the service `name`; the environment's `OTEL_SERVICE_NAME` is stronger.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name)
    }

    /// The tower layer that watches every request of an axum router or any HTTP service.
    pub fn layer(&self) -> WatchLayer {
        self.layer
    }

    /// A background job called `name` that this install watches; see [`job`](crate::job).
    pub fn job(&self, name: impl AsRef<str>) -> Job {
        Job::new(Some(self.installed.engine()), name)
    }

    /// A request for `target`, such as `/search?q=x`, that comes by another way than a tower service:
    /// for frameworks that have their own middleware.
    ///
    /// ```no_run
    /// # async fn example(redhanded: redhanded::Redhanded, peer: std::net::SocketAddr) {
    /// # async fn search() {}
    /// let asked = redhanded.request("GET", "/search?q=x").route("/search").client(peer);
    /// asked.run(search()).await;
    /// # }
    /// ```
    pub fn request(&self, method: &str, target: &str) -> Asked {
        Asked::new(Some(self.installed.engine()), method, target)
    }

    /// Where reports go: a path, or `stderr`.
    pub fn slow_log(&self) -> &str {
        self.installed.log()
    }

    /// What was seen and lost so far.
    pub fn stats(&self) -> Stats {
        self.installed.stats()
    }

    /// Number of requests in flight. Looks at every slot: for people and tests, not for a hot path.
    pub fn in_flight(&self) -> usize {
        self.installed.engine().in_flight()
    }

    /// Waits until everything found so far is on disk and exported, at most for `deadline`.
    ///
    /// `false` means that something was still on its way. Needs no particular runtime.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let (installed, metrics) = (self.installed.clone(), self.metrics);
        off_thread(move || in_time(deadline, metrics, false, |left| installed.flush(left))).await
    }

    /// Ends the watching: what was found is filed and exported, requests from now on run unwatched.
    ///
    /// From its beginning this process is not ready, and a service manager is told that it stops. What is still in
    /// flight is looked at as if it were overdue, and filed: up to 100 requests, the oldest first; the others are
    /// counted by route in one record `event:"process"`. Who was not overdue is accused of nothing. Call it after
    /// your server's own graceful shutdown, so that what is found is what did not end.
    ///
    /// `false` means that after `deadline` something was still on its way.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let (installed, metrics) = (self.installed.clone(), self.metrics);
        off_thread(move || in_time(deadline, metrics, true, |left| installed.shutdown(left))).await
    }
}

/// What metrics may take of a deadline.
const METRICS: Duration = Duration::from_secs(2);

/// Does `work` within `deadline`, and has metrics sent in what is left of it, for the last time with `end`. They are
/// numbers, and no report is missing where they do not arrive: `work` alone says what came of it.
fn in_time(
    deadline: Duration,
    metrics: Option<&export::Metrics>,
    end: bool,
    work: impl FnOnce(Duration) -> bool,
) -> bool {
    let begun = Instant::now();
    let done = work(deadline);
    let left = deadline.saturating_sub(begun.elapsed());
    if let Some(metrics) = metrics {
        export::flush_metrics(metrics, left.min(METRICS), end);
    }
    done
}

/// Runs something that blocks on a thread of its own, whatever the runtime.
async fn off_thread(work: impl FnOnce() -> bool + Send + 'static) -> bool {
    let (done, wait) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("redhanded-flush".to_owned())
        .spawn(move || done.send(work()));
    spawned.is_ok() && wait.await.unwrap_or(false)
}

pub(crate) fn install(
    mut config: Config,
    wish: &export::Wish,
    mut sinks: Vec<Box<dyn Sink>>,
) -> Result<Redhanded, Error> {
    let env = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
    let mut warnings = config.resolve(env)?;
    complete(&mut config);
    #[cfg(feature = "prometheus")]
    {
        config.scrape = Some(crate::prometheus::scrape);
    }
    let export = export::configure(&config.service, wish, env)?;
    warnings.extend(export.warnings);
    sinks.extend(export.sink);
    let (diagnostics, announced) = (
        config.diagnostics,
        (config.service.name.clone(), config.slow_after),
    );
    let (installed, more) = redhanded_core::install(config, sinks)?;
    warnings.extend(more);
    let metrics = export.metrics;
    let metrics = metrics.map(|planned| export::start_metrics(planned, &installed));
    let metrics = metrics.and_then(|started| started.map_err(|e| warnings.push(e)).ok());
    if diagnostics >= Diagnostics::Warn {
        warnings.iter().for_each(|w| eprintln!("redhanded: {w}"));
    }
    if diagnostics >= Diagnostics::Info {
        let (name, after) = announced;
        let abilities = installed.abilities();
        let part = |text: String| if text.is_empty() { text } else { text + "; " };
        let checks = part(installed.checks());
        let recorder = part(installed.flight_recorder().to_owned());
        eprintln!(
            "redhanded: watching {name}, slow after {after:?}; reports to {}; {}; {recorder}{checks}{abilities}",
            installed.log(),
            export.note
        );
    }
    let layer = WatchLayer::new(installed.engine());
    Ok(Redhanded {
        installed,
        layer,
        metrics: metrics.map(|metrics| &*Box::leak(Box::new(metrics))),
    })
}

/// What the process knows of itself, where nobody said.
fn complete(config: &mut Config) {
    config.service.pid = Some(std::process::id());
    if config.service.host.is_none() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        config.service.host = host.map(|h| h.trim().to_owned()).filter(|h| !h.is_empty());
    }
}
