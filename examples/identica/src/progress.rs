//! The bar on a terminal; nothing where there is none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    told: Arc<Mutex<HashSet<&'static str>>>,
}

impl Progress {
    pub(crate) fn new(requests: u64, show: bool) -> Self {
        let bar = if show {
            ProgressBar::new(requests)
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        let style = ProgressStyle::with_template(
            "{bar:32} {human_pos} of {human_len} requests, {per_sec}{msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            told: Arc::default(),
        }
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Says above the bar that something was caught, once.
    pub(crate) fn caught(&self, title: &'static str) {
        if self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(title)
        {
            self.bar.println(format!("caught: {title}"));
        }
    }

    pub(crate) fn waiting(&self) {
        self.bar
            .set_message("; all sent, waiting for those that hang to be caught");
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
