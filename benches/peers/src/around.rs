//! What stands around the app, each set up as its own documentation does it, and where its spans go.

use crate::app;
use axum::Router;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use fastrace_axum::FastraceLayer;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use redhanded::Redhanded;
use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;
use tracing::Subscriber;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer, registry};

/// The app with something around it.
pub(crate) struct Running {
    pub(crate) app: Router,
    /// Sends what waits to be exported. Not from within a runtime.
    pub(crate) flush: Box<dyn Fn()>,
}

impl Running {
    fn new(app: Router, flush: impl Fn() + 'static) -> Self {
        // As axum::serve does it: without a state, axum would apply every layer anew per request.
        Self {
            app: app.with_state(()),
            flush: Box::new(flush),
        }
    }

    /// What is called `name`, with spans for the collector at `sink`.
    pub(crate) fn by_name(name: &str, sink: &str) -> Result<Self, Box<dyn Error>> {
        match name {
            "bare" => Ok(Self::new(app::with_tracing(), || {})),
            "layer" => layer(sink),
            "registry" => registry_alone(sink),
            "story" => story(sink),
            "fastrace" => fastrace(sink),
            "otel" => otel(sink),
            _ => Err("bare, layer, registry, story, fastrace or otel?".into()),
        }
    }
}

/// redhanded's layer, and one request in a thousand exported.
fn layer(sink: &str) -> Result<Running, Box<dyn Error>> {
    let redhanded = Redhanded::builder("peers")
        .otlp(format!("http://{sink}"))
        .slow_log_to_stderr()
        .install()?;
    let app = app::with_tracing().layer(redhanded.layer());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(Running::new(app, move || {
        runtime.block_on(redhanded.flush(Duration::from_secs(10)));
    }))
}

/// The same, and spans that nobody does anything with: what `tracing` itself asks of whoever listens.
fn registry_alone(sink: &str) -> Result<Running, Box<dyn Error>> {
    registry().with(Deaf).try_init()?;
    layer(sink)
}

struct Deaf;

impl<S: Subscriber> Layer<S> for Deaf {}

/// The same, and everything that a request tells in memory.
fn story(sink: &str) -> Result<Running, Box<dyn Error>> {
    registry().with(redhanded::trace_layer()).try_init()?;
    layer(sink)
}

/// fastrace, everything exported.
fn fastrace(sink: &str) -> Result<Running, Box<dyn Error>> {
    let scope = InstrumentationScope::builder("peers").build();
    let reporter = OpenTelemetryReporter::new(exporter(sink)?, Cow::Owned(resource()), scope);
    fastrace::set_reporter(reporter, fastrace::collector::Config::default());
    let app = app::with_fastrace().layer(FastraceLayer::default());
    Ok(Running::new(app, fastrace::flush))
}

/// axum-tracing-opentelemetry at INFO, one request in a hundred exported.
fn otel(sink: &str) -> Result<Running, Box<dyn Error>> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let one_in_a_hundred = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01)));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_sampler(one_in_a_hundred)
        .with_batch_exporter(exporter(sink)?)
        .build();
    global::set_tracer_provider(provider.clone());
    registry()
        .with(EnvFilter::new("info,otel::tracing=trace"))
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("peers")))
        .try_init()?;
    let app = app::with_tracing().layer(OtelAxumLayer::default());
    Ok(Running::new(app, move || {
        // Who has lost something has it counted at the sink.
        let _ = provider.force_flush();
    }))
}

fn exporter(sink: &str) -> Result<SpanExporter, Box<dyn Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("http://{sink}/v1/traces"));
    Ok(exporter.build()?)
}

fn resource() -> Resource {
    Resource::builder().with_service_name("peers").build()
}
