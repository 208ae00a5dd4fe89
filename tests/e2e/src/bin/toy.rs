//! `toy`: a service whose requests hang in four ways. Prints its address when it listens.
//!
//! `TOY_UNWATCHED` leaves redhanded out; everything else is in redhanded's own variables.

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use redhanded::Redhanded;
use redhanded::connect::{BoxError, Client, Connector, RequestBody, Tcp};
use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// What `/slow` waits for.
static RELEASED: Notify = Notify::const_new();

type Hyper = legacy::Client<Connector<Tcp<HttpConnector>>, RequestBody<Empty<Bytes>>>;

/// What `/call` calls by.
static CLIENT: LazyLock<Client<Hyper>> = LazyLock::new(|| {
    let connector = Connector::new(Tcp::new(HttpConnector::new()));
    Client::new(legacy::Client::builder(TokioExecutor::new()).build(connector))
});

// More workers than hang: one that is blocked or loops is gone for good.
#[tokio::main(worker_threads = 8)]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/loop/{word}", get(looping))
        .route("/block", get(blocking))
        .route("/pending/{account}", get(pending))
        .route("/call", get(calling))
        .route("/slow", get(slow))
        .route("/release", get(|| async { RELEASED.notify_waiters() }));
    let app = if std::env::var_os("TOY_UNWATCHED").is_some() {
        app
    } else {
        app.layer(Redhanded::builder("toy").install()?.layer())
    };
    keep_the_driver_driven(Handle::current());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string());
    axum::serve(listener, app).await?;
    Ok(())
}

/// A worker that goes from tokio's I/O driver straight into a poll that does not return leaves the
/// driver to nobody, though others are idle (tokio#4730): nobody would be served any more, watched
/// or not. Whatever is spawned wakes one that takes over.
fn keep_the_driver_driven(runtime: Handle) {
    std::thread::spawn(move || {
        loop {
            runtime.spawn(async {});
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[expect(clippy::print_stdout, reason = "who started it has to find it")]
fn announce(address: &str) {
    println!("{address}");
}

/// Burns CPU for ever.
async fn looping(Path(word): Path<String>) -> String {
    count_matches(&word).to_string()
}

/// Never comes to the end of what it searches: the classic off-by-none.
fn count_matches(word: &str) -> u64 {
    let (mut at, mut found) = (0_u64, 0_u64);
    // here: the loop begins
    while at < u64::MAX {
        let byte = word.as_bytes().get(at as usize % word.len().max(1));
        found = found.wrapping_add(u64::from(byte.copied().unwrap_or(0)));
        at = std::hint::black_box(at.wrapping_add(1) % 1_000_000);
    }
    // here: the loop ends
    found
}

/// Blocks its thread: a read of std's, from a peer that says nothing.
async fn blocking(Query(query): Query<HashMap<String, String>>) -> Result<String, StatusCode> {
    let peer = query.get("peer").ok_or(StatusCode::BAD_REQUEST)?;
    ask(peer).map_err(|_| StatusCode::BAD_GATEWAY)
}

fn ask(peer: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(peer)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?; // here: the read
    Ok(format!("{answer:?}"))
}

/// Waits for an answer that nobody gives.
async fn pending(Path(account): Path<String>) -> Result<String, StatusCode> {
    let (sender, receiver) = oneshot::channel::<String>();
    // Kept, or the receiver would learn that no answer can come.
    std::mem::forget(sender);
    let balance = balance(receiver).await.ok_or(StatusCode::BAD_GATEWAY)?;
    Ok(format!("{account}: {balance}"))
}

async fn balance(receiver: oneshot::Receiver<String>) -> Option<String> {
    receiver.await.ok() // here: the channel
}

/// Waits for a host that takes a request and says nothing.
async fn calling(Query(query): Query<HashMap<String, String>>) -> Result<String, StatusCode> {
    let peer = query.get("peer").ok_or(StatusCode::BAD_REQUEST)?;
    stock(peer).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

async fn stock(peer: &str) -> Result<String, BoxError> {
    let url = format!("http://{peer}/stock?item=4711&token=hush");
    let request = Request::get(url).body(Empty::new())?;
    let response = CLIENT.request(request).await?; // here: the call
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Slow until `/release`, then over: with a status that nobody else gives.
async fn slow() -> (StatusCode, &'static str) {
    RELEASED.notified().await;
    (StatusCode::SERVICE_UNAVAILABLE, "released")
}
