//! Numbers for Prometheus: a few requests, and what a scrape says of them.
//!
//! By default it asks itself, prints the durations, and ends; with `--serve` it only serves.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use doors::{SLOW_AFTER, listen};
use http_body_util::BodyExt;
use redhanded::Redhanded;
use tower::ServiceExt;

async fn notice(Path(id): Path<u32>) -> Result<&'static str, StatusCode> {
    if id < 100 {
        Ok("hello\n")
    } else {
        Err(StatusCode::SERVICE_UNAVAILABLE)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redhanded = Redhanded::builder("numbers")
        .slow_after(SLOW_AFTER)
        .slow_log_to_stderr()
        .metrics(true)
        .install()?;
    let app = Router::new()
        .route("/notice/{id}", get(notice))
        .layer(redhanded.layer())
        // After the layer: who scrapes is not counted.
        .route("/metrics", get(redhanded.metrics_handler()));
    if std::env::args().any(|arg| arg == "--serve") {
        axum::serve(redhanded.listener(listen().await?), app).await?;
        return Ok(());
    }
    for id in [7, 8, 9, 100] {
        let request = Request::get(format!("/notice/{id}")).body(Body::empty())?;
        app.clone()
            .oneshot(request)
            .await?
            .into_body()
            .collect()
            .await?;
    }
    let text = redhanded.prometheus();
    let durations = text
        .lines()
        .filter(|line| line.contains("http_server_request_duration_seconds_count"));
    durations.for_each(|line| println!("{line}"));
    Ok(())
}
