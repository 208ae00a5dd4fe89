//! What no application should do, and does.

use crate::common::{names, texts, watch, watch_after};
use redhanded_trace::TraceLayer;
use std::time::Duration;
use tracing::{Subscriber, debug, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

fn stack() -> impl Subscriber + Send + Sync {
    registry().with(TraceLayer::new())
}

#[test]
fn ten_thousand_spans_keep_the_newest_and_count_the_rest() {
    let watch = watch_after(Duration::from_secs(3));
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/many", |go_on| async move {
            let outer = info_span!("outer", kept = "its fields");
            let _in = outer.enter();
            for n in 0..10_000 {
                let span = info_span!("one of many", n);
                let _in = span.enter();
                debug!(n, "inside");
            }
            drop(_in);
            go_on.notified().await;
        })
    });
    assert_eq!(names(&evidence), ["outer"]);
    assert_eq!(evidence.spans[0].fields["kept"], "its fields");
    assert_eq!(evidence.events.len(), 64);
    assert_eq!(texts(&evidence)[63], "inside n=9999");
    let told = evidence.missing.iter().find(|m| m.contains("written over"));
    let count: u64 = told
        .and_then(|t| t.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    assert!((29_000..30_000).contains(&count), "{:?}", evidence.missing);
}

#[test]
fn ten_thousand_open_spans_are_counted() {
    let watch = watch_after(Duration::from_secs(3));
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/open", |go_on| async move {
            let spans: Vec<_> = (0..10_000).map(|n| info_span!("open", n)).collect();
            info!("all are open");
            go_on.notified().await;
            drop(spans);
        })
    });
    assert_eq!(evidence.spans.len(), 64);
    assert_eq!(evidence.spans[63].fields["n"], "63");
    assert_eq!(texts(&evidence), ["all are open"]);
    let lost = evidence
        .missing
        .iter()
        .find(|m| m.contains("no room or time"));
    let count: u64 = lost
        .and_then(|t| t.split_once("for ")?.1.split(' ').next()?.parse().ok())
        .unwrap_or(0);
    assert_eq!(count, 10_000 - 64, "{:?}", evidence.missing);
    // The ring comes home after the report.
    let begun = std::time::Instant::now();
    while watch.installed.stats().lost.events < count {
        assert!(
            begun.elapsed().as_secs() < 10,
            "{:?}",
            watch.installed.stats()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn long_values_are_cut_and_the_rest_is_counted() {
    let watch = watch_after(Duration::from_secs(1));
    let long = "é".repeat(500_000);
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/long", |go_on| async move {
            let span = info_span!("long", value = long, other = 1);
            let _in = span.enter();
            debug!(?long);
            debug!("{long}");
            drop(_in);
            go_on.notified().await;
        })
    });
    let value = &evidence.spans[0].fields["value"];
    assert!(
        value.ends_with(&format!("…(+{} bytes)", 1_000_000 - 1024)),
        "{}",
        &value[1000..]
    );
    assert_eq!(evidence.spans[0].fields["other"], "1");
    assert!(
        texts(&evidence)[0].contains("…(+99"),
        "{}",
        texts(&evidence)[0].len()
    );
    assert!(texts(&evidence)[1].ends_with(" bytes)"));
}

#[test]
fn what_is_no_text_is_printable() {
    let watch = watch();
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/bytes", |go_on| async move {
            debug!(bytes = &[0xff_u8, 0x00][..], "esc\u{1b}[31m\nline");
            go_on.notified().await;
        })
    });
    assert_eq!(texts(&evidence), ["esc%1B[31m line bytes=ff00"]);
}

#[test]
fn spans_that_are_never_closed_or_closed_late_harm_nobody() {
    let watch = watch();
    tracing::subscriber::with_default(stack(), || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut late = Vec::new();
        for _ in 0..200 {
            runtime.block_on(watch.ask("/leaks").run(async {
                let leaked = info_span!("never closed");
                std::mem::forget(leaked.entered());
                late.push(info_span!("closed when its request is over"));
            }));
        }
        // Entered and closed after their rings went to others.
        for span in late {
            let _in = span.enter();
            debug!("nobody's");
        }
    });
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/after", |go_on| async move {
            debug!("mine");
            go_on.notified().await;
        })
    });
    assert_eq!(texts(&evidence), ["mine"]);
    assert_eq!(evidence.events[0].span, None);
}

#[test]
fn late_fields_are_noted() {
    let watch = watch();
    let evidence = tracing::subscriber::with_default(stack(), || {
        watch.hang("/late", |go_on| async move {
            let span = info_span!("late", rows = tracing::field::Empty, state = "begun");
            span.record("rows", 7);
            span.record("state", "done");
            let next = info_span!("next");
            next.follows_from(&span);
            go_on.notified().await;
            drop((span, next));
        })
    });
    let fields = &evidence.spans[0].fields;
    assert_eq!(
        (fields["rows"].as_str(), fields["state"].as_str()),
        ("7", "done")
    );
}
