//! Culprit 4: a remote host that swallows packets.

use crate::outside::Hosts;
use crate::site::Site;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Deserialize)]
pub(crate) struct Remote {
    host: String,
}

/// `GET /federate?host=…`
pub(crate) async fn federate(
    State(site): State<Arc<Site>>,
    Query(Remote { host }): Query<Remote>,
) -> Result<String, StatusCode> {
    let address = Hosts::resolve(&site.hosts, &host).ok_or(StatusCode::BAD_REQUEST)?;
    node_info(address, &host)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Asks a remote host what it is.
async fn node_info(address: SocketAddr, host: &str) -> std::io::Result<String> {
    // No time-out: a host that refuses fails at once, but one whose packets are dropped (a dead
    // node, a security group) leaves us here until the kernel gives up, two minutes later.
    let mut remote = TcpStream::connect(address).await?;
    remote
        .write_all(format!("GET /nodeinfo HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    remote.read_to_string(&mut answer).await?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}
