//! What the lessons share: an address to listen on, and something slow to ask for.
//!
//! | lesson | shows |
//! |---|---|
//! | `bare_hyper` | a server on hyper without a framework, by the tower layer |
//! | `guard` | a framework with a middleware of its own: actix-web, rocket, a protocol of your own |
//! | `numbers` | metrics for Prometheus: durations, requests in flight, runaways |
//! | `websocket` | the task that goes on after an upgrade |
//! | `worker` | jobs from a queue, and the children of a job |

use std::time::Duration;
use tokio::net::TcpListener;

/// The threshold of the lessons: short, so that you need not wait.
pub const SLOW_AFTER: Duration = Duration::from_millis(300);

/// A listener on a free port of the loopback; says on stderr which one.
///
/// # Errors
///
/// When there is no loopback.
pub async fn listen() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    eprintln!("listening on {port}; ask for http://127.0.0.1:{port}/slow?q=needle");
    Ok(listener)
}

/// Waits for an answer that takes long.
pub async fn ask_the_archive() {
    tokio::time::sleep(SLOW_AFTER * 4).await;
}
