//! `outbound CLIENT COUNT`: makes that many HTTP calls to a server on the loop-back, one after the other,
//! on one thread, within a job that is watched.
//!
//! Under callgrind, `cargo xtask budget` reads off what a call costs the thread that makes it. `kept` is
//! one connection for all calls, `fresh` one for each; `bare-…` is hyper-util's client alone.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use redhanded::Redhanded;
use redhanded::connect::{Client, Connector, RequestBody, Tcp};
use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

type Body = Empty<Bytes>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let client = args.next().unwrap_or_default();
    let count: u64 = args.next().ok_or("how many?")?.parse()?;
    let server = serve()?;
    let uri: http::Uri = format!("http://{server}/hello").parse()?;
    let redhanded = Redhanded::builder("bench")
        .slow_after(Duration::from_secs(300))
        .slow_log_to_stderr()
        .install()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let keep = match client.rsplit_once('-') {
        Some((_, "kept")) => 1,
        Some((_, "fresh")) => 0,
        _ => return Err("bare-kept, bare-fresh, watched-kept or watched-fresh?".into()),
    };
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(keep);
    let calls = async {
        if client.starts_with("bare") {
            let client = builder.build::<_, Body>(HttpConnector::new());
            for _ in 0..count {
                let response = client.get(uri.clone()).await?;
                response.into_body().collect().await?;
            }
        } else {
            let connector = Connector::new(Tcp::new(HttpConnector::new()));
            let client = Client::new(builder.build::<_, RequestBody<Body>>(connector));
            for _ in 0..count {
                let mut request = http::Request::new(Body::new());
                *request.uri_mut() = uri.clone();
                let response = client.request(request).await?;
                response.into_body().collect().await?;
            }
        }
        Ok::<(), Box<dyn Error>>(())
    };
    runtime.block_on(redhanded.job("calls").run(calls))
}

/// A server on a thread of its own, so that the one that is measured only calls.
fn serve() -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((stream, _)) = listener.accept().await {
                let hello = |_| async {
                    let body = Full::new(Bytes::from_static(b"hello"));
                    Ok::<_, Infallible>(http::Response::new(body))
                };
                let service = hyper::service::service_fn(hello);
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    Ok(address)
}
