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
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tracing::{Dispatch, Instrument, debug, info_span, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

const INCOMING: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn watched(collector: &Collector, elsewhere: bool, slow_after: Duration) -> Installed {
    let mut config = Config::new("alongside");
    config.slow_after = slow_after;
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

fn exporter() -> (InMemorySpanExporter, SdkTracerProvider) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    (exporter, provider)
}

/// What both exporters have, after one request of each kind.
fn both(elsewhere: bool) -> (Vec<SpanData>, Vec<Span>) {
    let collector = Collector::ok();
    let installed = watched(&collector, elsewhere, Duration::from_millis(150));
    let (theirs, provider) = exporter();
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

const REQUESTS: usize = 24;
/// Every so many hang: of one fingerprint there are five lines a minute.
const HANGS: usize = 6;
const PARTS: usize = 3;
/// What does not hang is not late with this, on a busy machine either.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Where its parts ran.
type Threads = Arc<Mutex<HashSet<ThreadId>>>;

#[instrument(skip_all)]
async fn spread(hangs: bool, threads: Threads) {
    let part = |n| tokio::spawn(part(n, hangs, threads.clone()).in_current_span());
    for part in (0..PARTS).map(part).collect::<Vec<_>>() {
        part.await.unwrap();
    }
}

#[instrument(skip(threads))]
async fn part(n: usize, hangs: bool, threads: Threads) {
    for step in 0..10 {
        threads.lock().unwrap().insert(std::thread::current().id());
        debug!(step, "on some worker");
        tokio::task::yield_now().await;
    }
    if hangs && n == 0 {
        tokio::time::sleep(SLOW_AFTER * 2).await;
    }
}

/// Some of many requests at a time hang, on many workers that all have `stack`.
fn on_many_workers(stack: Dispatch, collector: &Collector) -> (Vec<Span>, usize) {
    let installed = watched(collector, true, SLOW_AFTER);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        // For as long as the thread lives, as a global stack is.
        .on_thread_start(move || {
            std::mem::forget(tracing::dispatcher::set_default(&stack));
        })
        .build()
        .unwrap();
    let threads = Threads::default();
    let ask = |n: usize| {
        let asked = Asked::new(Some(installed.engine()), "GET", "/spread");
        let incoming = format!("00-{:032x}-b7ad6b7169203331-01", n + 1);
        let asked = asked.header("traceparent", &incoming);
        let work = spread(n.is_multiple_of(HANGS), threads.clone());
        let handler = async { work.instrument(first_span()).await };
        runtime.spawn(asked.run(handler))
    };
    let asked: Vec<_> = (0..REQUESTS).map(ask).collect();
    asked
        .into_iter()
        .for_each(|asked| runtime.block_on(asked).unwrap());
    drop(runtime);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        installed.flush(Duration::from_secs(5));
        let requests = collector.requests();
        let ours: Vec<Span> = requests.iter().flat_map(|r| r.spans()).collect();
        // The request's own spans come last.
        if ours.iter().filter(|span| span.name == "GET").count() == REQUESTS / HANGS {
            return (ours, threads.lock().unwrap().len());
        }
        assert!(Instant::now() < until, "{ours:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Of each request: what others export is whole and in its trace, each span once, below the request's own.
fn is_whole_and_told_once(theirs: &[SpanData], ours: &[Span]) {
    let ids: HashSet<String> = theirs
        .iter()
        .map(|span| span.span_context.span_id().to_string())
        .chain(ours.iter().map(|span| hex(&span.span_id)))
        .collect();
    assert_eq!(ids.len(), theirs.len() + ours.len(), "two have one id");
    for n in 0..REQUESTS {
        let trace = format!("{:032x}", n + 1);
        let of_it = |span: &&SpanData| span.span_context.trace_id().to_string() == trace;
        let spans: Vec<_> = theirs.iter().filter(of_it).collect();
        let mut names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        names.sort_unstable();
        assert_eq!(names, ["part", "part", "part", "request", "spread"]);
        let named = |name: &str| *spans.iter().find(|span| span.name == name).unwrap();
        let (request, spread) = (named("request"), named("spread"));
        assert_eq!(spread.parent_span_id, request.span_context.span_id());
        for part in spans.iter().filter(|span| span.name == "part") {
            assert_eq!(part.parent_span_id, spread.span_context.span_id());
        }
        let ours: Vec<_> = ours.iter().filter(|s| hex(&s.trace_id) == trace).collect();
        let mut names: Vec<_> = ours.iter().map(|span| span.name.as_str()).collect();
        // A later look may have found out more.
        names.retain(|name| *name != "redhanded.updated");
        names.sort_unstable();
        if n.is_multiple_of(HANGS) {
            // Of the parts only the one that hung was open.
            assert_eq!(
                names,
                ["GET", "part", "redhanded.caught", "request", "spread"]
            );
            let server = ours.iter().find(|span| span.name == "GET").unwrap();
            assert_eq!(request.parent_span_id.to_string(), hex(&server.span_id));
        } else {
            assert_eq!(names, [""; 0], "they have all of it");
        }
        let told = |span: &&&Span| ["part", "request", "spread"].contains(&span.name.as_str());
        for open in ours.iter().filter(told) {
            let marked = |key: &str| open.attributes.iter().any(|a| a.key == key);
            assert!(marked("redhanded.still_open"), "{open:#?}");
        }
    }
}

#[test]
fn on_many_workers_ours_next_to_the_registry() {
    let (theirs, provider) = exporter();
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    let stack = registry().with(TraceLayer::new()).with(exported);
    let (ours, threads) = on_many_workers(Dispatch::new(stack), &Collector::ok());
    assert!(threads > 1, "one worker did it all");
    is_whole_and_told_once(&theirs.get_finished_spans().unwrap(), &ours);
}

#[test]
fn on_many_workers_ours_outermost() {
    let (theirs, provider) = exporter();
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    let stack = registry().with(exported).with(TraceLayer::new());
    let (ours, threads) = on_many_workers(Dispatch::new(stack), &Collector::ok());
    assert!(threads > 1, "one worker did it all");
    is_whole_and_told_once(&theirs.get_finished_spans().unwrap(), &ours);
}
