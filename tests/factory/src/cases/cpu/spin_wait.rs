//! A spin-wait for something that only a task of the same worker can bring about.

use crate::{Case, Ground, Needs, Play, Truth};
use axum::Router;
use axum::routing::get;
use redhanded::report::Class;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) fn case() -> Case {
    Case {
        code: "A13",
        title: "a spin-wait for a task of the same worker",
        source: include_str!("spin_wait.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            classes: &[Class::CpuLoop],
            function: Some("spin_wait::status"),
            ..Truth::default()
        },
        needs: Needs {
            workers: Some(1),
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    Router::new().route("/status", get(status))
}

fn play(play: &mut Play) {
    play.culprit("/status");
}

async fn status() -> &'static str {
    let ready = Arc::new(AtomicBool::new(false));
    let setter = ready.clone();
    tokio::spawn(async move { setter.store(true, Ordering::Release) });
    loop {
        let is_ready = ready.load(Ordering::Acquire); // <- here
        if is_ready {
            return "ready";
        }
        hint::spin_loop(); // <- here
    }
}
