//! A CPU quota that is used up: short work takes long, because nobody may run.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use redhanded_tests::Quota;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(super) fn case() -> Case {
    Case {
        code: "N8",
        title: "a CPU quota that is used up",
        source: include_str!("quota.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            // Four requests use up what there is for a second
            quota: Some(Quota {
                each_us: 1_000_000,
                of_that_us: 200_000,
            }),
            watched_for: Some(Duration::from_secs(3)),
            ..Needs::default()
        },
    }
}

fn app(_: &Ground) -> Router {
    let render = async |Path(id): Path<u64>| format!("{}", render(id));
    Router::new().route("/render/{id}", get(render))
}

fn play(play: &mut Play) {
    for i in 0..6 {
        play.innocent(&format!("/render/{i}"));
    }
}

/// Some tens of milliseconds of work, whoever is in its way.
fn render(seed: u64) -> u64 {
    const ROUNDS: u64 = 2_000_000;
    let begun = Instant::now();
    let sum = (0..ROUNDS).fold(seed, |sum, i| black_box(sum.rotate_left(5) ^ i));
    sum.max(begun.elapsed().as_millis() as u64)
}
