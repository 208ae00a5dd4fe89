//! The layer among others, in any order.

use crate::common::{names, texts, watch};
use redhanded_report::Evidence;
use redhanded_trace::TraceLayer;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Subscriber, debug, info, instrument, trace};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry, reload};

#[instrument(skip(go_on))]
async fn search(query: &str, page: u64, go_on: Arc<Notify>) {
    debug!(rows = 7, "looked up");
    fetch(go_on).await;
}

#[instrument(level = "debug", skip_all, fields(host = "db1", password = "hunter2"))]
async fn fetch(go_on: Arc<Notify>) {
    info!("asking, token=abc");
    go_on.notified().await;
}

fn story(path: &str, stack: impl Subscriber + Send + Sync) -> Evidence {
    let watch = watch();
    tracing::subscriber::with_default(stack, || {
        watch.hang(path, |go_on| async {
            search("x", 2, go_on).await;
        })
    })
}

/// What the console would show.
#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn is_whole(evidence: &Evidence) {
    assert_eq!(names(evidence), ["search", "fetch"], "{evidence:#?}");
    assert_eq!(
        texts(evidence),
        ["looked up rows=7", "asking, token=REDACTED"]
    );
}

#[test]
fn open_spans_and_events_stand_in_the_report() {
    let evidence = story("/alone", registry().with(TraceLayer::new()));
    is_whole(&evidence);
    let [search, fetch] = &evidence.spans[..] else {
        panic!("two spans")
    };
    assert_eq!(search.fields["query"], "x");
    assert_eq!(search.fields["page"], "2");
    assert_eq!(fetch.fields["password"], "REDACTED");
    assert_eq!(fetch.fields["host"], "db1");
    assert_eq!(search.level.as_deref(), Some("INFO"));
    assert!(
        search
            .file
            .as_deref()
            .is_some_and(|f| f.ends_with("stacks.rs"))
            && search.line.is_some()
    );
    assert!(search.age_ms >= fetch.age_ms && fetch.age_ms >= 100.0);
    // It waits: nobody was inside for long.
    assert!(
        search
            .busy_ms
            .is_some_and(|busy| busy < search.age_ms / 2.0)
    );
    let [debug, info] = &evidence.events[..] else {
        panic!("two events")
    };
    assert_eq!(
        (debug.level.as_str(), debug.span.as_deref()),
        ("DEBUG", Some("search"))
    );
    assert_eq!(
        (info.level.as_str(), info.span.as_deref()),
        ("INFO", Some("fetch"))
    );
    assert_eq!(debug.target.as_deref(), Some("story::stacks"));
    assert!(
        evidence.missing.iter().all(|m| !m.contains("story")),
        "{:?}",
        evidence.missing
    );
}

#[test]
fn what_is_not_printed_is_in_the_report() {
    for inner in [true, false] {
        let console = Console::default();
        let filter = EnvFilter::new("info");
        let evidence = if inner {
            let printed = fmt::layer().with_writer(console.clone());
            let stack = registry().with(TraceLayer::new());
            story("/below", stack.with(printed.with_filter(filter)))
        } else {
            let printed = fmt::layer().with_writer(console.clone());
            let stack = registry().with(printed.with_filter(filter));
            story("/below", stack.with(TraceLayer::new()))
        };
        is_whole(&evidence);
        let printed = console.text();
        assert!(
            printed.contains("asking") && !printed.contains("looked up"),
            "{printed}"
        );
    }
}

#[test]
fn a_filter_of_the_whole_stack_takes_from_us_too() {
    for inner in [true, false] {
        let filter = EnvFilter::new("info");
        let evidence = if inner {
            story("/global", registry().with(TraceLayer::new()).with(filter))
        } else {
            story("/global", registry().with(filter).with(TraceLayer::new()))
        };
        assert_eq!(names(&evidence), ["search"]);
        assert_eq!(texts(&evidence), ["asking, token=REDACTED"]);
    }
}

#[test]
fn a_filter_of_its_own_is_respected() {
    let own = TraceLayer::new().with_filter(LevelFilter::INFO);
    let evidence = story(
        "/own",
        registry()
            .with(own)
            .with(fmt::layer().with_writer(std::io::sink)),
    );
    assert_eq!(names(&evidence), ["search"]);
    assert_eq!(texts(&evidence), ["asking, token=REDACTED"]);
}

#[test]
fn it_may_be_reloaded_boxed_or_optional() {
    let (reloaded, handle) = reload::Layer::new(TraceLayer::new());
    is_whole(&story("/reload", registry().with(reloaded)));
    drop(handle);
    let boxed: Vec<Box<dyn tracing_subscriber::Layer<_> + Send + Sync>> =
        vec![Box::new(TraceLayer::new())];
    is_whole(&story("/boxed", registry().with(boxed)));
    is_whole(&story(
        "/optional",
        registry().with(Some(TraceLayer::new())),
    ));
    let none: Option<TraceLayer> = None;
    assert_eq!(names(&story("/none", registry().with(none))), [""; 0]);
}

#[test]
fn two_layers_in_one_stack_note_once() {
    is_whole(&story(
        "/twice",
        registry().with(TraceLayer::new()).with(TraceLayer::new()),
    ));
    let both = TraceLayer::new().and_then(TraceLayer::new());
    is_whole(&story("/and_then", registry().with(both)));
    let filtered = TraceLayer::new().with_filter(LevelFilter::TRACE);
    is_whole(&story(
        "/filtered",
        registry().with(filtered).with(TraceLayer::new()),
    ));
}

#[test]
fn two_stacks_at_once_do_not_mix_their_spans() {
    // Their registries give the same ids.
    let watch = watch();
    let go = |path: &'static str| {
        let watch = watch.clone();
        std::thread::spawn(move || {
            let stack = registry().with(TraceLayer::new());
            tracing::subscriber::with_default(stack, || {
                watch.hang(path, |go_on| async move {
                    let outer = tracing::info_span!("outer", path);
                    search("x", 2, go_on).instrument(outer).await;
                })
            })
        })
    };
    for (path, thread) in [("/one", go("/one")), ("/two", go("/two"))] {
        let evidence = thread.join().expect("no panic");
        assert_eq!(names(&evidence), ["outer", "search", "fetch"]);
        assert_eq!(evidence.spans[0].fields["path"], path);
    }
}

#[test]
fn a_layer_without_an_install_notes_nothing() {
    tracing::subscriber::with_default(registry().with(TraceLayer::new()), || {
        let span = tracing::info_span!("nobody's");
        let _in = span.enter();
        trace!("nor this");
    });
}

#[test]
fn records_of_log_have_their_own_place() {
    // Global, as `log` is: what others tell meanwhile is in other requests.
    tracing_log::LogTracer::init().expect("the first");
    let watch = watch();
    let evidence = tracing::subscriber::with_default(registry().with(TraceLayer::new()), || {
        watch.hang("/log", |go_on| async move {
            log::warn!(target: "driver", "pool is empty");
            go_on.notified().await;
        })
    });
    assert_eq!(texts(&evidence), ["pool is empty"]);
    let event = &evidence.events[0];
    assert_eq!(
        (event.level.as_str(), event.target.as_deref()),
        ("WARN", Some("driver"))
    );
    assert!(
        event
            .file
            .as_deref()
            .is_some_and(|f| f.ends_with("stacks.rs")),
        "{event:?}"
    );
}
