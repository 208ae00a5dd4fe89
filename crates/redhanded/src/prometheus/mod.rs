//! What Prometheus scrapes: the numbers as text, in its own format and in OpenMetrics.
//!
//! Written here and not by a crate, because none does both with what we have: `prometheus` knows neither OpenMetrics nor
//! exemplars, and the exemplars of `prometheus-client` cannot be made outside of it, only by its own metrics, which
//! would have to count a second time. What is written is read by Prometheus's and OpenMetrics' own parsers in tests.

mod accept;
mod name;
mod text;

use text::render;

use crate::install::Redhanded;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use redhanded_core::metrics::Snapshot;
use std::future::{Ready, ready};

/// A format that numbers are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Prometheus's own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `snapshot` in the format that `accept` asks for, with its content type.
pub(crate) fn scrape(snapshot: &Snapshot, accept: &str) -> (&'static str, String) {
    let format = accept::format(accept);
    (format.content_type(), render(snapshot, format))
}

/// What a scrape is answered.
type Answer = Ready<([(HeaderName, &'static str); 1], String)>;

impl Redhanded {
    /// A handler for axum that Prometheus can scrape; feature `prometheus`. It answers in OpenMetrics, with exemplars, who
    /// accepts that, else in Prometheus's own text format.
    ///
    /// Switches the counting on, unless it is. It runs on a worker like any other handler; the listener of
    /// [`health_listener`](crate::Builder::health_listener) answers `GET /metrics` even when every worker stands. Who can
    /// ask reads the templates of routes and the names of hosts, and neither paths nor parameters.
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) -> axum::Router {
    /// axum::Router::new().route("/metrics", axum::routing::get(redhanded.metrics_handler()))
    /// # }
    /// ```
    ///
    /// As a service of any tower stack:
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) {
    /// let scrape = redhanded.metrics_handler();
    /// let service = tower::service_fn(move |request: http::Request<axum::body::Body>| {
    ///     let told = scrape(request.headers().clone());
    ///     async move { Ok::<_, std::convert::Infallible>(axum::response::IntoResponse::into_response(told.await)) }
    /// });
    /// # let _ = service;
    /// # }
    /// ```
    pub fn metrics_handler(&self) -> impl Fn(HeaderMap) -> Answer + Clone + Send + Sync + 'static {
        let numbers = self.installed.numbers().clone();
        numbers.start();
        move |headers| {
            let accepted = headers.get_all(http::header::ACCEPT).iter();
            let accepted: Vec<&str> = accepted.filter_map(|value| value.to_str().ok()).collect();
            let (kind, text) = scrape(&numbers.snapshot(), &accepted.join(","));
            ready(([(CONTENT_TYPE, kind)], text))
        }
    }

    /// The numbers in Prometheus's text format, version 0.0.4; feature `prometheus`. Switches the counting on, unless it is.
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) {
    /// let text = redhanded.prometheus();
    /// assert!(text.contains("# TYPE redhanded_health_ready gauge\nredhanded_health_ready 1\n"));
    /// # }
    /// ```
    pub fn prometheus(&self) -> String {
        render(&self.installed.numbers().snapshot(), Format::Prometheus)
    }

    /// The same in OpenMetrics, version 1.0.0, with exemplars: the traces of requests that were caught or failed, or are of the baseline.
    pub fn openmetrics(&self) -> String {
        render(&self.installed.numbers().snapshot(), Format::OpenMetrics)
    }
}
