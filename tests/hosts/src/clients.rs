//! Clients that people use, as redhanded watches them.

use crate::names::Names;
use crate::tls;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use redhanded::Redhanded;
use redhanded::connect::{Client, ClientLayer, Connector, RequestBody, Tcp};
use std::convert::Infallible;
use std::sync::Arc;
use tower::{Layer, ServiceExt};

/// A client, and what it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// hyper-util's client, HTTP/1.
    Hyper,
    /// The same over rustls.
    HyperTls,
    /// The same, HTTP/2.
    Hyper2,
    /// HTTP/2 over rustls.
    Hyper2Tls,
    /// reqwest, HTTP/1.
    Reqwest,
    /// The same over rustls.
    ReqwestTls,
    /// The same, HTTP/2.
    Reqwest2,
    /// A channel of tonic.
    Tonic,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Hyper,
        Self::HyperTls,
        Self::Hyper2,
        Self::Hyper2Tls,
        Self::Reqwest,
        Self::ReqwestTls,
        Self::Reqwest2,
        Self::Tonic,
    ];

    /// Over TLS.
    pub fn is_secured(self) -> bool {
        matches!(self, Self::HyperTls | Self::Hyper2Tls | Self::ReqwestTls)
    }

    /// HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(
            self,
            Self::Hyper2 | Self::Hyper2Tls | Self::Reqwest2 | Self::Tonic
        )
    }

    /// Its calls tell their phases, also after their connection.
    pub fn is_measured(self) -> bool {
        !matches!(self, Self::Reqwest | Self::ReqwestTls | Self::Reqwest2)
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Tcps = Tcp<HttpConnector<Names>, redhanded::connect::Resolver<Names>>;

/// An upload is more than any buffer takes, and is made in pieces, as uploads are.
const PIECE: &[u8] = &[0; 16 << 10];
const PIECES: usize = 4096;

fn tcp() -> Tcps {
    let mut http = HttpConnector::new_with_resolver(Names);
    http.enforce_http(false);
    Tcp::with_resolver(http, Names)
}

/// Everything that is needed to make calls by every way.
#[derive(Clone, Debug)]
pub struct Clients {
    hyper: Client<legacy::Client<Connector<Tcps>, RequestBody<Body>>>,
    hyper2: Client<legacy::Client<Connector<Tcps>, RequestBody<Body>>>,
    hyper_tls:
        Client<legacy::Client<Connector<hyper_rustls::HttpsConnector<Tcps>>, RequestBody<Body>>>,
    reqwest: reqwest::Client,
    reqwest2: reqwest::Client,
}

impl Clients {
    /// As an application makes them, once.
    pub fn new() -> Self {
        let builder = || legacy::Client::builder(TokioExecutor::new());
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls::client())
            .https_only()
            .enable_all_versions()
            .wrap_connector(tcp());
        let reqwest = || {
            let builder = reqwest::Client::builder()
                .no_proxy()
                .tls_backend_preconfigured(tls::client());
            redhanded::connect::reqwest::watched_with_resolver(builder, Arc::new(Names))
        };
        Self {
            hyper: Client::new(builder().build(Connector::new(tcp()))),
            hyper2: Client::new(builder().http2_only(true).build(Connector::new(tcp()))),
            hyper_tls: Client::new(builder().build(Connector::new(https))),
            reqwest: reqwest().build().unwrap(),
            reqwest2: reqwest().http2_prior_knowledge().build().unwrap(),
        }
    }

    /// Asks `host`, or sends it an upload, and reads the whole answer.
    pub async fn ask(&self, way: Way, host: &str, port: u16, upload: bool) -> Result<(), String> {
        let scheme = if way.is_secured() { "https" } else { "http" };
        let url = format!("{scheme}://{host}:{port}/items?page=2&token=abc");
        match way {
            Way::Hyper => by_hyper(&self.hyper, &url, upload).await,
            Way::Hyper2 => by_hyper(&self.hyper2, &url, upload).await,
            Way::HyperTls | Way::Hyper2Tls => by_hyper(&self.hyper_tls, &url, upload).await,
            Way::Reqwest | Way::ReqwestTls => by_reqwest(&self.reqwest, &url, upload).await,
            Way::Reqwest2 => by_reqwest(&self.reqwest2, &url, upload).await,
            Way::Tonic => by_tonic(host, port).await,
        }
    }

    /// Sends `url` one piece that is more than any buffer takes, by hyper's client.
    pub async fn upload_at_once(&self, url: &str) -> u16 {
        let whole = Bytes::from(vec![0; PIECES * PIECE.len()]);
        let request = http::Request::post(url).body(Full::new(whole).boxed_unsync());
        let response = self.hyper.request(request.unwrap()).await;
        response.unwrap().status().as_u16()
    }

    /// The head of the answer of `url` and a body that nobody has read, by hyper's client.
    pub async fn head_of(&self, url: &str) -> http::Response<impl http_body::Body + use<>> {
        let request = http::Request::get(url).body(body(false)).unwrap();
        self.hyper.request(request).await.unwrap()
    }

    /// Asks `url` by hyper's client, and gives the status.
    pub async fn status(&self, url: &str) -> u16 {
        let request = http::Request::get(url).body(body(false)).unwrap();
        let response = self.hyper.request(request).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new()
    }
}

fn body(upload: bool) -> Body {
    if upload {
        let pieces = (0..PIECES).map(|_| Ok(Frame::data(Bytes::from_static(PIECE))));
        StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
    } else {
        Empty::new().boxed_unsync()
    }
}

async fn by_hyper<C>(
    client: &Client<legacy::Client<C, RequestBody<Body>>>,
    url: &str,
    upload: bool,
) -> Result<(), String>
where
    C: legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let method = if upload { "POST" } else { "GET" };
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .body(body(upload))
        .unwrap();
    let response = client.request(request).await.map_err(|e| e.to_string())?;
    let all = response.into_body().collect().await;
    all.map(drop).map_err(|e| e.to_string())
}

async fn by_reqwest(client: &reqwest::Client, url: &str, upload: bool) -> Result<(), String> {
    let request = if upload {
        client.post(url).body(vec![0; PIECES * PIECE.len()])
    } else {
        client.get(url)
    };
    let response = request.send().await.map_err(|e| e.to_string())?;
    response.bytes().await.map(drop).map_err(|e| e.to_string())
}

/// As generated code does it, for a service without generated code.
async fn by_tonic(host: &str, port: u16) -> Result<(), String> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{host}:{port}"));
    let channel = endpoint
        .unwrap()
        .connect_with_connector_lazy(Connector::new(tcp()));
    let service = ClientLayer::new()
        .peer(format!("{host}:{port}"))
        .layer(
            channel.map_request(|r: http::Request<RequestBody<tonic::body::Body>>| {
                r.map(tonic::body::Body::new)
            }),
        );
    let mut grpc = tonic::client::Grpc::new(service);
    grpc.ready().await.map_err(|e| e.to_string())?;
    let codec = tonic_prost::ProstCodec::<String, String>::default();
    let path = http::uri::PathAndQuery::from_static("/hosts.Items/Get");
    let answer = grpc
        .unary(tonic::Request::new("needle".to_owned()), path, codec)
        .await;
    answer.map(drop).map_err(|e| e.to_string())
}

/// Watches a future as a job that hangs; what the matrix does, and every other test.
pub fn job<F: Future<Output: Send> + Send + 'static>(
    redhanded: &Redhanded,
    name: &str,
    future: F,
) -> tokio::task::JoinHandle<F::Output> {
    tokio::spawn(redhanded.job(name).run(future))
}
