//! One lesson: what a request told of itself stands in its report, also what nobody prints.
//!
//! `RUST_LOG=info` is for the console. The layer of redhanded has no filter, so that the report of a
//! request that hangs has its spans with their fields and ages, and its last events, down to `DEBUG`.
//! Requests that do well leave nothing behind.
//!
//! ```sh
//! cargo run -p story          # says where it listens
//! curl http://127.0.0.1:PORT/users/7/orders
//! cargo run -p redhanded-cli -- show "$(tail -n1 slow-requests.jsonl | sed 's/.*"id":"\([^"]*\)".*/\1/')"
//! ```

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use redhanded::{Redhanded, trace_layer};
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::{debug, info, instrument};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

const SLOW_AFTER: Duration = Duration::from_millis(300);

#[instrument]
async fn orders(Path(user): Path<u64>) -> String {
    info!("asked for orders");
    let orders = query("orders", user).await;
    format!("{orders} orders\n")
}

#[instrument(level = "debug")]
async fn query(table: &str, user: u64) -> u64 {
    debug!(
        sql = "select count(*) from orders where user_id = $1",
        "asking"
    );
    // What hangs is not the lesson: every seventh user's orders take long.
    if user.is_multiple_of(7) {
        tokio::time::sleep(SLOW_AFTER * 4).await;
    }
    user * 3
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let printed = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    registry()
        .with(trace_layer()) // in memory: everything
        .with(
            fmt::layer()
                .with_writer(std::io::stderr)
                .with_filter(printed),
        ) // on the console: what RUST_LOG says
        .init();
    let redhanded = Redhanded::builder("story")
        .slow_after(SLOW_AFTER)
        .install()?;
    let app = Router::new()
        .route("/users/{user}/orders", get(orders))
        .layer(redhanded.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on {}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}
