//! Whose a span or event is.

use crate::common::{names, texts, watch};
use redhanded_trace::TraceLayer;
use tracing::{Instrument, debug, debug_span, info_span, instrument::WithSubscriber};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

#[test]
fn a_spawned_task_belongs_to_the_request_of_its_span() {
    let watch = watch();
    let stack = tracing::Dispatch::new(registry().with(TraceLayer::new()));
    let evidence = tracing::dispatcher::with_default(&stack, || {
        watch.hang("/spawned", |go_on| async move {
            let told = std::sync::Arc::new(tokio::sync::Notify::new());
            let tell = told.clone();
            let task = async move {
                debug!("in the task");
                let inner = debug_span!("inner");
                async move {
                    tell.notify_one();
                    go_on.notified().await;
                }
                .instrument(inner)
                .await;
            };
            let span = info_span!("task", number = 1);
            let task = tokio::spawn(task.instrument(span).with_current_subscriber());
            told.notified().await;
            debug!("in the request");
            task.await.expect("no panic");
        })
    });
    assert_eq!(names(&evidence), ["task", "inner"]);
    assert_eq!(texts(&evidence), ["in the task", "in the request"]);
    assert_eq!(evidence.events[0].span.as_deref(), Some("task"));
    assert_eq!(evidence.events[1].span, None);
}

#[test]
fn a_span_may_be_entered_on_another_thread() {
    let watch = watch();
    let stack = tracing::Dispatch::new(registry().with(TraceLayer::new()));
    let evidence = tracing::dispatcher::with_default(&stack, || {
        watch.hang("/threads", |go_on| {
            let stack = stack.clone();
            async move {
                let span = info_span!("shared");
                let (inner, outer) = (span.clone(), span.clone());
                let _here = outer.enter();
                let there = std::thread::spawn(move || {
                    tracing::dispatcher::with_default(&stack, || {
                        let _in = inner.enter();
                        debug!("from the other thread");
                    });
                });
                there.join().expect("no panic");
                debug!("from here");
                drop(_here);
                go_on.notified().await;
            }
        })
    });
    assert_eq!(names(&evidence), ["shared"]);
    assert_eq!(texts(&evidence), ["from the other thread", "from here"]);
    for event in &evidence.events {
        assert_eq!(event.span.as_deref(), Some("shared"));
    }
    // Both have left it.
    let shared = &evidence.spans[0];
    assert!(
        shared
            .busy_ms
            .is_some_and(|busy| busy < shared.age_ms / 2.0),
        "{shared:?}"
    );
}

#[test]
fn spans_may_be_left_in_any_order() {
    let watch = watch();
    let stack = registry().with(TraceLayer::new());
    let evidence = tracing::subscriber::with_default(stack, || {
        watch.hang("/order", |go_on| async move {
            let spans = ["a", "b", "c"].map(|name| info_span!("level", name));
            let [a, b, c] = spans.each_ref().map(|span| span.enter());
            drop(b);
            debug!("in c");
            drop(c);
            debug!("in a");
            drop(a);
            debug!("in none");
            let again = spans[0].enter();
            let twice = spans[0].enter();
            drop(again);
            debug!("in a still");
            drop(twice);
            go_on.notified().await;
        })
    });
    assert_eq!(names(&evidence), ["level"; 3]);
    let seen: Vec<_> = evidence
        .events
        .iter()
        .map(|e| (e.text.as_str(), e.span.is_some()))
        .collect();
    assert_eq!(
        seen,
        [
            ("in c", true),
            ("in a", true),
            ("in none", false),
            ("in a still", true)
        ]
    );
}

#[test]
fn explicit_parents_and_roots_are_kept() {
    let watch = watch();
    let stack = registry().with(TraceLayer::new());
    let evidence = tracing::subscriber::with_default(stack, || {
        watch.hang("/explicit", |go_on| async move {
            let outer = info_span!("outer");
            let inside = outer.enter();
            debug!(parent: None, "rootless");
            let other = info_span!(parent: None, "other");
            debug!(parent: &other, "in other");
            drop(inside);
            debug!(parent: &outer, "in outer");
            go_on.notified().await;
        })
    });
    assert_eq!(names(&evidence), ["outer", "other"]);
    let spans: Vec<_> = evidence.events.iter().map(|e| e.span.as_deref()).collect();
    assert_eq!(spans, [None, Some("other"), Some("outer")]);
}

#[test]
fn the_next_request_has_nothing_of_the_last() {
    let watch = watch();
    let stack = registry().with(TraceLayer::new());
    let evidence = tracing::subscriber::with_default(stack, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for round in 0..1000 {
            runtime.block_on(watch.ask("/quick").run(async {
                let span = info_span!("quick", round);
                let _in = span.enter();
                debug!("quick");
            }));
        }
        watch.hang("/next", |go_on| async move {
            debug!("mine");
            go_on.notified().await;
        })
    });
    assert_eq!(names(&evidence), [""; 0]);
    assert_eq!(texts(&evidence), ["mine"]);
    let rings = watch.installed.stats().story.rings;
    assert!(
        rings < 100,
        "{rings} rings for a thousand requests, one after the other"
    );
}
