//! A CPU quota that is used up: short work takes long, because nobody may run.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use redhanded_tests::Quota;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

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

/// So much CPU time that six requests use up what there is for a second, and none is long.
fn render(seed: u64) -> u64 {
    const WORK: Duration = Duration::from_millis(80);
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or(WORK);
    let end = used() + WORK;
    let mut sum = seed;
    while used() < end {
        sum = (0..1000).fold(sum, |sum: u64, i| black_box(sum.rotate_left(5) ^ i));
    }
    sum
}
