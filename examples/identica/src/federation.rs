//! Culprit 4: a remote host that swallows packets.

use crate::outside::Hosts;
use crate::site::Site;
use axum::BoxError;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use redhanded::connect::{Client, Connector, RequestBody, Resolver, Tcp};
use serde::Deserialize;
use std::sync::Arc;

/// hyper-util's client, with redhanded around it, around its connector and around its resolver: the
/// report of a request that hangs in a call names the host, and how far the two have come.
type HttpClient =
    Client<legacy::Client<Connector<Tcp<HttpConnector, Resolver<Hosts>>>, RequestBody<Body>>>;

/// More than any host says about itself; who says more is not read to the end.
const LONGEST: usize = 64 * 1024;

/// The other sites.
pub(crate) struct Remotes {
    hosts: Hosts,
    client: HttpClient,
}

impl Remotes {
    pub(crate) fn new(hosts: Hosts) -> Self {
        // No connect time-out, as is the default: see `node_info`.
        let tcp = Tcp::with_resolver(HttpConnector::new(), hosts.clone());
        let client = legacy::Client::builder(TokioExecutor::new()).build(Connector::new(tcp));
        Self {
            hosts,
            client: Client::new(client),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Remote {
    host: String,
}

/// `GET /federate?host=…`
pub(crate) async fn federate(
    State(site): State<Arc<Site>>,
    Query(Remote { host }): Query<Remote>,
) -> Result<String, StatusCode> {
    // A visitor chooses the host: without this, any address of our own network would do.
    let known = site.remotes.hosts.resolve(&host);
    let port = known.ok_or(StatusCode::BAD_REQUEST)?.port();
    node_info(&site.remotes.client, &host, port)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Asks a remote host what it is.
async fn node_info(client: &HttpClient, host: &str, port: u16) -> Result<String, BoxError> {
    let request = Request::get(format!("http://{host}:{port}/nodeinfo")).body(Body::empty())?;
    // No time-out: a host that refuses fails at once, but one whose packets are dropped (a dead
    // node, a security group) leaves us here until the kernel gives up, two minutes later.
    let answer = client.request(request).await?;
    let told = to_bytes(Body::new(answer.into_body()), LONGEST).await?;
    Ok(String::from_utf8_lossy(&told).trim_end().to_owned())
}
