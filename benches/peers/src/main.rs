//! `peers send AROUND SINK COUNT URI` sends requests in-process, one after the other, on the main thread, until everything is
//! exported; `peers serve AROUND SINK` serves them on one thread, and `peers sink` takes what is exported: both say where.
//!
//! `cargo xtask peers` runs and compares them.

mod app;
mod around;

use around::Running;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use std::error::Error;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower::ServiceExt;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["send", around, sink, count, uri] => send(
            &Running::by_name(around, sink)?,
            count.parse()?,
            &uri.parse()?,
        ),
        ["serve", around, sink] => serve(Running::by_name(around, sink)?.app),
        ["sink"] => serve(sink()),
        _ => Err("send AROUND SINK COUNT URI, serve AROUND SINK, or sink?".into()),
    }
}

// Not inlined: callgrind begins to count here, because what others do at the start takes as long as they like.
#[inline(never)]
fn send(running: &Running, count: u64, uri: &Uri) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..count {
            once(&running.app, uri).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    (running.flush)();
    // What ends an exporter belongs to no request.
    std::process::exit(0)
}

/// One request as `wrk` sends it, and its body to the end.
async fn once(app: &Router, uri: &Uri) -> Result<(), Box<dyn Error>> {
    let request = Request::get(uri.clone())
        .header(header::HOST, "127.0.0.1:8080")
        .header(header::USER_AGENT, "wrk/4.1")
        .body(Body::empty())?;
    let response = app.clone().oneshot(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("{uri} answers {}", response.status()).into());
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// Serves on one thread beside those that the app has itself, and says at which address.
fn serve(app: Router) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let served = runtime.spawn(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, app).await
    });
    Ok(runtime.block_on(served)??)
}

/// Takes whatever is sent, and is content with it.
fn sink() -> Router {
    Router::new().fallback(|body: Body| async {
        body.collect()
            .await
            .map_or(StatusCode::BAD_REQUEST, |_| StatusCode::OK)
    })
}
