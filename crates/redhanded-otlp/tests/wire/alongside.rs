//! Beside the real `tracing-opentelemetry`: one trace, and nothing exported twice.

use crate::collector::{Collector, hex};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use redhanded_core::{Asked, Config, Current, Installed, Log, install};
use redhanded_otlp::Otlp;
use redhanded_report::Service;
use redhanded_trace::TraceLayer;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tracing::{Instrument, debug, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

const INCOMING: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn watched(collector: &Collector, elsewhere: bool) -> Installed {
    let mut config = Config::new("alongside");
    config.slow_after = Duration::from_millis(150);
    config.log = Log::Nowhere;
    config.keep_one_in = 1;
    config.spans_exported_elsewhere = elsewhere;
    let otlp = Otlp::to(&collector.url, &Service::default()).unwrap();
    install(config, vec![Box::new(otlp)]).unwrap().0
}

/// The recipe: the first span of a request hangs below the request's own.
fn first_span() -> tracing::Span {
    let span = info_span!("request");
    let parent = Current::here().traceparent().unwrap_or_default();
    let carrier = HashMap::from([("traceparent".to_owned(), parent)]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    let _ = span.set_parent(parent);
    span
}

async fn handler(hangs: bool) {
    async {
        debug!("looking");
        let inner = info_span!("inner", hangs);
        let work = async {
            if hangs {
                tokio::time::sleep(Duration::from_millis(600)).await;
            }
        };
        work.instrument(inner).await;
    }
    .instrument(first_span())
    .await;
}

/// What both exporters have, after one request of each kind.
fn both(elsewhere: bool) -> (Vec<SpanData>, Vec<Span>) {
    let collector = Collector::ok();
    let installed = watched(&collector, elsewhere);
    let theirs = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(theirs.clone())
        .build();
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    let stack = registry().with(TraceLayer::new()).with(exported);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(stack, || {
        for (path, hangs) in [("/quick", false), ("/hangs", true)] {
            let asked = Asked::new(Some(installed.engine()), "GET", path);
            let asked = asked.header("traceparent", INCOMING);
            runtime.block_on(asked.run(handler(hangs)));
        }
    });
    // The end of the one that hung comes last.
    let until = Instant::now() + Duration::from_secs(20);
    let is_end = |span: &Span| {
        let how = span.attributes.iter().any(|a| a.key == "redhanded.how");
        how && span.attributes.iter().any(|a| a.key == "redhanded.id")
    };
    loop {
        installed.flush(Duration::from_secs(5));
        let ours: Vec<Span> = collector
            .requests()
            .iter()
            .flat_map(|r| r.spans())
            .collect();
        if ours.iter().any(is_end) {
            return (theirs.get_finished_spans().unwrap(), ours);
        }
        assert!(Instant::now() < until, "{ours:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_others_export_is_exported_once_and_in_one_trace() {
    let (theirs, ours) = both(true);
    let names: Vec<_> = theirs.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["inner", "request", "inner", "request"]);
    let named = |name: &str| ours.iter().find(|span| span.name == name);
    let caught = named("redhanded.caught").unwrap();
    let server = ours
        .iter()
        .find(|span| span.span_id == caught.parent_span_id)
        .expect("the request's own span, when it had ended");
    for span in &theirs {
        assert_eq!(
            span.span_context.trace_id().to_string(),
            hex(&caught.trace_id)
        );
    }
    let request = theirs.last().unwrap();
    assert_eq!(request.parent_span_id.to_string(), hex(&server.span_id));
    // Of ours nothing but what they cannot have: the catch, what was open then, and the SERVER span.
    let mut names: Vec<_> = ours.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET", "inner", "redhanded.caught", "request"]);
    for open in ["request", "inner"].map(|name| named(name).unwrap()) {
        assert!(
            open.attributes
                .iter()
                .any(|a| a.key == "redhanded.still_open")
        );
    }
    let ours: HashSet<_> = ours.iter().map(|span| hex(&span.span_id)).collect();
    assert_eq!(ours.len(), 4);
    assert!(
        theirs
            .iter()
            .all(|span| !ours.contains(&span.span_context.span_id().to_string()))
    );
}

#[test]
fn without_a_word_both_would_export_them() {
    // So that the test above can fail.
    let (_, ours) = both(false);
    let finished = ours.iter().filter(|span| span.name == "inner");
    let finished =
        finished.filter(|s| s.attributes.iter().all(|a| a.key != "redhanded.still_open"));
    assert_eq!(finished.count(), 2);
    let ids: HashSet<_> = ours.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), ours.len());
}
