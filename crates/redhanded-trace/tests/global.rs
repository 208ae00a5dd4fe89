//! The layer in the global stack: what only happens there, one after the other.

#[path = "story/common.rs"]
mod common;

use common::{Watch, names, texts, watch};
use redhanded_trace::TraceLayer;
use std::fmt;
use std::time::Duration;
use tracing::{debug, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

#[test]
fn a_global_stack() {
    let before = watch();
    {
        // Nobody listens yet.
        let evidence = before.hang("/before", |go_on| async move {
            debug!("to nobody");
            go_on.notified().await;
        });
        assert_eq!(texts(&evidence), [""; 0]);
    }
    registry().with(TraceLayer::new()).init();
    debug!("of no request, and of an install that has no second one yet");
    let after = common::watch_after(Duration::from_millis(1500));
    for (watch, path) in [(&before, "/earlier"), (&after, "/later")] {
        let evidence = watch.hang(path, |go_on| async move {
            debug!("heard");
            go_on.notified().await;
        });
        assert_eq!(texts(&evidence), ["heard"], "{path}");
    }
    a_value_may_log_while_it_is_printed(&after);
    a_value_that_panics_costs_itself_alone(&after);
}

struct Logs;

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = info_span!("while printing");
        let _in = span.enter();
        info!("printing");
        f.write_str("printed")
    }
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        panic!("a Debug that panics, in a test");
    }
}

fn a_value_may_log_while_it_is_printed(watch: &Watch) {
    let evidence = {
        watch.hang("/prints", |go_on| async move {
            info!(value = %Logs, "outer");
            let span = info_span!("span", value = %Logs);
            go_on.notified().await;
            drop(span);
        })
    };
    assert_eq!(
        texts(&evidence),
        ["printing", "outer value=printed", "printing"]
    );
    assert_eq!(names(&evidence), ["span"]);
}

fn a_value_that_panics_costs_itself_alone(watch: &Watch) {
    let evidence = {
        watch.hang("/panics", |go_on| async move {
            info!(value = ?Panics, after = 1, "outer");
            go_on.notified().await;
        })
    };
    assert_eq!(
        texts(&evidence),
        ["outer value=half…(printing it panicked) after=1"]
    );
}
