//! Hosts that answer, and requests that call them in ways that are no good.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

type Request = http::Request<hyper::body::Incoming>;

/// An HTTP/1 host, and the heads of what it was asked.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where it is.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<http::HeaderMap>>>,
}

impl Host {
    /// Starts one on `ip` that takes its time and then answers with what `answer` gives for a path.
    pub async fn start(
        at: SocketAddr,
        takes: Duration,
        answer: fn(&str) -> http::Response<Full<Bytes>>,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let host = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = host.asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = asked.clone();
                let service = hyper::service::service_fn(move |request: Request| {
                    asked.lock().unwrap().push(request.headers().clone());
                    async move {
                        tokio::time::sleep(takes).await;
                        let path = request.uri().path_and_query().unwrap().as_str();
                        Ok::<_, Infallible>(answer(path))
                    }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        host
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<http::HeaderMap> {
        self.asked.lock().unwrap().clone()
    }
}

/// Any free port of the loop-back.
pub const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An answer with this status and a short body.
pub fn status(status: u16) -> http::Response<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(b"some rows"));
    let response = http::Response::builder().status(status);
    response.body(body).unwrap()
}
