//! Stock: asked of one of two warehouses, of which one takes the question and says nothing.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use redhanded::connect::{BoxError, Client, Connector, RequestBody, Tcp};
use serde::Deserialize;
use std::sync::Arc;

type Bare = legacy::Client<HttpConnector, Empty<Bytes>>;
type Watched = Client<legacy::Client<Connector<Tcp<HttpConnector>>, RequestBody<Empty<Bytes>>>>;

struct Warehouses {
    client: Either,
    north: String,
    south: String,
}

enum Either {
    Bare(Bare),
    Watched(Watched),
}

pub(crate) fn routes(north: &str, south: &str, watched: bool) -> Router {
    let builder = legacy::Client::builder(TokioExecutor::new());
    let client = if watched {
        let connector = Connector::new(Tcp::new(HttpConnector::new()));
        Either::Watched(Client::new(builder.build(connector)))
    } else {
        Either::Bare(builder.build(HttpConnector::new()))
    };
    let (north, south) = (north.to_owned(), south.to_owned());
    Router::new()
        .route("/stock/{item}", get(stock))
        .with_state(Arc::new(Warehouses {
            client,
            north,
            south,
        }))
}

#[derive(Deserialize)]
struct Where {
    warehouse: String,
}

async fn stock(
    State(warehouses): State<Arc<Warehouses>>,
    Path(item): Path<u64>,
    Query(Where { warehouse }): Query<Where>,
) -> Result<Bytes, StatusCode> {
    let host = match warehouse.as_str() {
        "north" => &warehouses.north,
        "south" => &warehouses.south,
        _ => return Err(StatusCode::NOT_FOUND),
    };
    ask(&warehouses.client, host, item)
        .await
        .map_err(|_| StatusCode::BAD_GATEWAY)
}

async fn ask(client: &Either, host: &str, item: u64) -> Result<Bytes, BoxError> {
    let request = Request::get(format!("http://{host}/{item}")).body(Empty::new())?;
    Ok(match client {
        Either::Bare(client) => client.request(request).await?.collect().await?.to_bytes(),
        Either::Watched(client) => {
            let answer = client.request(request).await?; // here: the question
            answer.into_body().collect().await?.to_bytes()
        }
    })
}
