//! Beside the real layer of tokio-console, whose server is asked by a real client. tokio tells it of tasks only when it
//! was built for that: `cargo xtask console`.
#![cfg(tokio_unstable)]

#[path = "story/common.rs"]
mod common;

use common::{names, texts, watch};
use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use console_subscriber::ConsoleLayer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use redhanded_report::Evidence;
use redhanded_trace::TraceLayer;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tracing::{Instrument, Metadata, Subscriber, debug, info, info_span, instrument};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{EnvFilter, fmt, registry};

const DEADLINE: Duration = Duration::from_secs(30);

/// The layer as an application has it, and its server on a port that was free a moment ago.
struct Console {
    port: u16,
}

impl Console {
    fn new() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        Self { port }
    }

    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        ConsoleLayer::builder()
            .server_addr((Ipv4Addr::LOCALHOST, self.port))
            .publish_interval(Duration::from_millis(50))
            .spawn()
    }

    /// Asks it as `tokio-console` does, until it tells of the task.
    fn tells_of(&self, task: &'static str) -> JoinHandle<()> {
        let url = format!("http://127.0.0.1:{}", self.port);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let told = async { tokio::time::timeout(DEADLINE, updates(url, task)).await };
            let told = runtime.block_on(told);
            told.expect("the console tells of the task in time");
        })
    }
}

async fn updates(url: String, task: &str) {
    let mut client = loop {
        match InstrumentClient::connect(url.clone()).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let updates = client.watch_updates(InstrumentRequest {}).await;
    let mut updates = updates.expect("it answers").into_inner();
    while let Some(update) = updates.message().await.expect("it goes on") {
        if format!("{:?}", update.task_update).contains(task) {
            return;
        }
    }
    panic!("the console has ended");
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What an application puts beside us, each with its own filter.
struct Beside {
    console: Console,
    printed: Printed,
    exported: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl Beside {
    fn new() -> Self {
        let exported = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exported.clone())
            .build();
        Self {
            console: Console::new(),
            printed: Printed::default(),
            exported,
            provider,
        }
    }

    fn fmt<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let printed = self.printed.clone();
        let layer = fmt::layer()
            .with_ansi(false)
            .with_writer(move || printed.clone());
        layer.with_filter(EnvFilter::new("info"))
    }

    fn otel<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer("app"));
        layer.with_filter(the_applications())
    }

    /// What was seen of a request that hangs in `stack`, when everybody has seen it.
    fn story(&self, path: &str, stack: impl Subscriber + Send + Sync) -> Evidence {
        let console = self.console.tells_of("waits for the request");
        let watch = watch();
        let evidence = tracing::subscriber::with_default(stack, || {
            watch.hang(path, |go_on| async { search("x", go_on).await })
        });
        console.join().expect("the console tells of the task");
        evidence
    }

    fn all_saw_theirs(&self) {
        let printed = self.printed.0.lock().expect("no panic").clone();
        let printed = String::from_utf8(printed).expect("text");
        assert!(printed.contains("asking"), "{printed}");
        let too_much = printed.contains("looking") || printed.contains("runtime.");
        assert!(!too_much, "{printed}");
        let begun = Instant::now();
        loop {
            let spans = self.exported.get_finished_spans().expect("they are there");
            let mut names: Vec<_> = spans.iter().map(|span| span.name.to_string()).collect();
            names.sort_unstable();
            if names == ["search", "task"] {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{names:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Lets through what is not tokio's own, which is for its console.
fn the_applications() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| !is_tokios(metadata.target()))
}

fn is_tokios(target: &str) -> bool {
    target.starts_with("tokio") || target.starts_with("runtime")
}

#[instrument(skip(go_on))]
async fn search(query: &str, go_on: Arc<Notify>) {
    debug!("looking");
    let work = async move {
        info!("asking");
        go_on.notified().await;
    };
    let task = tokio::task::Builder::new().name("waits for the request");
    let task = task.spawn(work.instrument(info_span!("task")));
    task.expect("a runtime").await.expect("no panic");
}

/// Without tokio's own.
fn applications(evidence: &Evidence) -> Evidence {
    let mut of_it = evidence.clone();
    let is_its = |target: &Option<String>| !target.as_deref().is_some_and(is_tokios);
    of_it.spans.retain(|span| is_its(&span.target));
    of_it.events.retain(|event| is_its(&event.target));
    of_it
}

#[track_caller]
fn is_whole(evidence: &Evidence) {
    assert_eq!(names(evidence), ["search", "task"], "{evidence:#?}");
    assert_eq!(texts(evidence), ["looking", "asking"]);
    let spans: Vec<_> = evidence.events.iter().map(|e| e.span.as_deref()).collect();
    assert_eq!(spans, [Some("search"), Some("task")]);
}

/// A stack of these layers, the first next to the registry.
macro_rules! stack {
    ($($layer:expr),*) => { registry()$(.with($layer))* };
}

fn ours<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    TraceLayer::new().with_filter(the_applications())
}

#[test]
fn ours_is_next_to_the_registry() {
    let all = Beside::new();
    let stack = stack![ours(), all.console.layer(), all.fmt(), all.otel()];
    is_whole(&all.story("/first", stack));
    all.all_saw_theirs();
}

#[test]
fn ours_is_the_outermost() {
    let all = Beside::new();
    let stack = stack![all.otel(), all.fmt(), all.console.layer(), ours()];
    is_whole(&all.story("/last", stack));
    all.all_saw_theirs();
}

#[test]
fn ours_is_in_the_middle() {
    let all = Beside::new();
    let stack = stack![all.console.layer(), ours(), all.otel(), all.fmt()];
    is_whole(&all.story("/middle", stack));
    all.all_saw_theirs();
}

#[test]
fn ours_is_one_of_a_vector_of_layers() {
    let all = Beside::new();
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![
        Box::new(all.fmt()),
        Box::new(ours()),
        Box::new(all.console.layer()),
        Box::new(all.otel()),
    ];
    is_whole(&all.story("/vector", stack![layers]));
    all.all_saw_theirs();
}

#[test]
fn without_a_filter_ours_has_tokios_own_as_well() {
    for outermost in [false, true] {
        let all = Beside::new();
        let evidence = if outermost {
            let stack = stack![
                all.console.layer(),
                all.fmt(),
                all.otel(),
                TraceLayer::new()
            ];
            all.story("/unfiltered", stack)
        } else {
            let stack = stack![
                TraceLayer::new(),
                all.otel(),
                all.fmt(),
                all.console.layer()
            ];
            all.story("/unfiltered", stack)
        };
        let tokios = names(&evidence).iter().any(|n| n.starts_with("runtime."));
        assert!(tokios, "{evidence:#?}");
        is_whole(&applications(&evidence));
        all.all_saw_theirs();
    }
}

#[test]
fn a_filter_of_the_whole_stack_leaves_the_console_what_it_asks_for() {
    // As tokio-console's documentation has it.
    let filter = || EnvFilter::new("info,tokio=trace,runtime=trace");
    for outermost in [false, true] {
        let all = Beside::new();
        let evidence = if outermost {
            let stack = stack![all.console.layer(), filter(), all.fmt(), all.otel(), ours()];
            all.story("/global", stack)
        } else {
            let stack = stack![ours(), all.otel(), all.fmt(), all.console.layer(), filter()];
            all.story("/global", stack)
        };
        assert_eq!(names(&evidence), ["search", "task"]);
        assert_eq!(
            texts(&evidence),
            ["asking"],
            "what it takes it takes from all"
        );
        all.all_saw_theirs();
    }
}
