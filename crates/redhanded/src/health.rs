//! How this process is: for load balancers, supervisors, and the application itself.

use crate::install::Redhanded;
use http::StatusCode;
pub use redhanded_core::{Health, Holder};
use std::future::{Ready, ready};
use std::net::SocketAddr;

/// What a check is answered.
type Answer = Ready<(StatusCode, String)>;

impl Redhanded {
    /// Whether this process should be given requests, and whether it should be restarted, as the watchdog sees it.
    ///
    /// Cheap, and waits for nobody.
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) {
    /// let health = redhanded.health();
    /// if !health.ready {
    ///     eprintln!("not ready: {}", health.reason.unwrap_or_default());
    /// }
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        self.installed.health()
    }

    /// A handler for axum that says whether this process should be given requests: 200 or 503, with the reason.
    ///
    /// It runs on a worker like any other. When all of them stand nobody runs it, which a check with a timeout takes
    /// for "no"; [`health_listener`](crate::Builder::health_listener) answers even then.
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) -> axum::Router {
    /// axum::Router::new()
    ///     .route("/ready", axum::routing::get(redhanded.readiness()))
    ///     .route("/live", axum::routing::get(redhanded.liveness()))
    /// # }
    /// ```
    pub fn readiness(&self) -> impl Fn() -> Answer + Clone + Send + Sync + 'static {
        let installed = self.installed.clone();
        move || answer(installed.health(), |health| health.ready, "ready")
    }

    /// The same that says whether this process should be left running.
    pub fn liveness(&self) -> impl Fn() -> Answer + Clone + Send + Sync + 'static {
        let installed = self.installed.clone();
        move || answer(installed.health(), |health| health.alive, "alive")
    }

    /// Tells a service manager, such as systemd, that the application can be asked from now on: once, however often
    /// this is called. [`listener`](Self::listener) does it, too.
    pub fn ready(&self) {
        self.installed.engine().ready();
    }

    /// Where HTTP health checks are answered; `None` if that was not asked for.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.installed.health_address()
    }

    /// Where HAProxy's agent-checks are answered; `None` if that was not asked for.
    pub fn agent_check_address(&self) -> Option<SocketAddr> {
        self.installed.agent_check_address()
    }
}

fn answer(health: Health, is_well: impl Fn(&Health) -> bool, word: &str) -> Answer {
    if is_well(&health) {
        return ready((StatusCode::OK, format!("{word}\n")));
    }
    let why = health.reason.unwrap_or_default();
    ready((
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not {word}: {why}\n"),
    ))
}
