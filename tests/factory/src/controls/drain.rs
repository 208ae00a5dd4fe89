//! A graceful shutdown that waits for a stream which goes on.

use crate::{Case, Ground, Hang, Needs, Play, Truth};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

pub(super) fn case() -> Case {
    Case {
        code: "N11",
        title: "a shutdown that waits for a stream",
        source: include_str!("drain.rs"),
        file: file!(),
        app,
        play,
        truth: Truth {
            hang: Hang::Never,
            ..Truth::default()
        },
        needs: Needs {
            drains: true,
            ..Needs::default()
        },
    }
}

const ROWS: u32 = 30;
const BEAT: Duration = Duration::from_millis(100);

fn app(ground: &Ground) -> Router {
    let drain = ground.drain.clone();
    let stop = get(async move || drain.notify_one());
    let query = get(async || sleep(3 * BEAT).await);
    Router::new()
        .route("/export", get(export))
        .route("/query", query)
        .route("/stop", stop)
}

fn play(play: &mut Play) {
    let patience = 20 * play.slow_after();
    play.innocent("/export").is_answered(patience);
    play.innocent("/query");
    play.wait(BEAT);
    play.innocent("/stop");
    play.wait(BEAT * ROWS);
}

async fn export() -> Body {
    let rows = stream::unfold(0, async |row| {
        sleep(BEAT).await;
        (row < ROWS).then(|| (Ok::<_, Infallible>(format!("row {row}\n")), row + 1))
    });
    Body::from_stream(rows)
}
