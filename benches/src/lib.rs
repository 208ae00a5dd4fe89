//! The app that is measured, bare and under each layer.

pub mod heap;
mod spans;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::BodyExt;
use redhanded::{Builder, FlightRecorder, Redhanded};
use std::time::Duration;
use tower::ServiceExt;
use tower::layer::util::Identity;
use tracing::Dispatch;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

/// What stands around the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Nothing.
    Bare,
    /// A layer that does nothing: axum's own price for `.layer()`.
    Identity,
    /// redhanded as it comes.
    Redhanded,
    /// The same, and requests are counted for metrics.
    Metrics,
    /// Nothing, and a `tracing` registry that keeps spans for nobody.
    Registry,
    /// redhanded, and its layer in that registry.
    Story,
    /// The same with a flight recorder.
    Recorded,
}

impl Around {
    /// All of them, the baseline first.
    pub const ALL: [Self; 5] = [
        Self::Bare,
        Self::Identity,
        Self::Redhanded,
        Self::Metrics,
        Self::Recorded,
    ];

    /// What is compared where a request tells much by `tracing`; the baseline first.
    pub const TRACED: [Self; 4] = [Self::Bare, Self::Redhanded, Self::Registry, Self::Story];

    /// By the name that the command line uses.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain(Self::TRACED);
        all.find(|a| a.name() == name)
    }

    /// The name that the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Identity => "identity",
            Self::Redhanded => "redhanded",
            Self::Metrics => "metrics",
            Self::Registry => "registry",
            Self::Story => "story",
            Self::Recorded => "recorded",
        }
    }

    /// The app with this around it.
    ///
    /// # Panics
    ///
    /// When the install fails, which has no place in a measurement.
    pub fn app(self) -> Router {
        let app = app();
        let app = match self {
            Self::Bare | Self::Registry => app,
            Self::Identity => app.layer(Identity::new()),
            Self::Redhanded | Self::Story => watched(app, builder()),
            Self::Metrics => watched(app, builder().metrics(true)),
            Self::Recorded => {
                let name = format!("redhanded-bench-{}.rh", std::process::id());
                let path = std::env::temp_dir().join(name);
                let recorder = FlightRecorder::new(&path).records(64);
                let app = watched(app, builder().flight_recorder(recorder));
                // It is mapped, and nobody is to find it.
                std::fs::remove_file(path).expect("it was just made");
                app
            }
        };
        // As axum::serve does it: without a state, axum would apply every layer anew per request.
        app.with_state(())
    }

    /// The `tracing` stack that belongs to it, if one does.
    pub fn stack(self) -> Option<Dispatch> {
        match self {
            Self::Bare | Self::Identity | Self::Redhanded | Self::Metrics | Self::Recorded => None,
            Self::Registry => Some(Dispatch::new(registry())),
            Self::Story => Some(Dispatch::new(registry().with(redhanded::trace_layer()))),
        }
    }
}

/// The app with nothing around it.
pub fn app() -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/spans", get(spans::handler))
}

fn builder() -> Builder {
    Redhanded::builder("bench")
        .slow_after(Duration::from_secs(30))
        .slow_log_to_stderr()
}

fn watched(app: Router, builder: Builder) -> Router {
    app.layer(builder.install().expect("an install").layer())
}

/// A request as `wrk` sends it.
pub fn request(uri: &Uri) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("wrk/4.1"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    request
}

/// One request and its body to the end; returns the body's length.
///
/// # Panics
///
/// When the app fails, which it does not.
pub async fn once(app: &Router, uri: &Uri) -> usize {
    let response = app.clone().oneshot(request(uri)).await.expect("infallible");
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame
            .expect("a frame")
            .data_ref()
            .map_or(0, bytes::Bytes::len);
    }
    bytes
}

/// `count` requests, one after the other.
pub async fn send(app: &Router, uri: &Uri, count: u64) {
    for _ in 0..count {
        once(app, uri).await;
    }
}

/// The arguments `AROUND COUNT [URI]`: sends that many requests, one after the other, on this thread.
///
/// # Errors
///
/// Arguments that say nothing, and a runtime that does not start.
pub fn requests() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let around = args
        .next()
        .and_then(|a| Around::by_name(&a))
        .ok_or("bare, identity, redhanded, metrics, recorded, registry or story?")?;
    let count = args.next().ok_or("how many?")?.parse()?;
    let uri = args.next().unwrap_or_else(|| "/hello".to_owned()).parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(stack) = around.stack() {
        tracing::dispatcher::set_global_default(stack)?;
    }
    runtime.block_on(send(&around.app(), &uri, count));
    Ok(())
}
