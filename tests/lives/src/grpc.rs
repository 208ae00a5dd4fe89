//! A gRPC service without generated code, beside tonic's own health service.

use crate::gate::Gate;
use crate::serve::Address;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::uri::PathAndQuery;
use redhanded::WatchLayer;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// `Greet`, `Refuse` and `Hang` give one answer or none; `Follow`, `FollowSlowly` and
/// `FollowForEver` a stream.
#[derive(Clone)]
struct Greeter {
    gate: Gate,
}

impl NamedService for Greeter {
    const NAME: &'static str = "lives.Greeter";
}

type Stream = BoxStream<'static, Result<String, Status>>;

async fn unary(word: String, name: String, gate: Gate) -> Result<Response<String>, Status> {
    match word.as_str() {
        "Greet" => Ok(Response::new(format!("hello {name}"))),
        "Hang" => {
            gate.arrive();
            std::future::pending().await
        }
        _ => Err(Status::permission_denied("not you")),
    }
}

/// Such a time lies between two rows of a slow stream.
const PACE: Duration = Duration::from_millis(20);

async fn later<T>(row: T) -> T {
    tokio::time::sleep(PACE).await;
    row
}

fn streamed(word: &str, name: &str, gate: Gate) -> Stream {
    let count = name.parse().unwrap_or(3_u64);
    let rows = stream::iter((0..count).map(|row| Ok(row.to_string())));
    match word {
        "Follow" => return rows.boxed(),
        "FollowSlowly" => return rows.then(later).boxed(),
        _ => {}
    }
    let rest = stream::once(async move {
        gate.arrive();
        std::future::pending().await
    });
    rows.chain(rest).boxed()
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let word = request.uri().path().rsplit('/').next().unwrap_or_default();
        let (word, gate) = (word.to_owned(), self.gate.clone());
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
            Ok(if word.starts_with("Follow") {
                let follow = tower::service_fn(move |name: Request<String>| {
                    let rows = streamed(&word, name.get_ref(), gate.clone());
                    std::future::ready(Ok::<_, Status>(Response::new(rows)))
                });
                grpc.server_streaming(follow, request).await
            } else {
                let greet = tower::service_fn(move |name: Request<String>| {
                    unary(word.clone(), name.into_inner(), gate.clone())
                });
                grpc.unary(greet, request).await
            })
        })
    }
}

/// Serves the greeter and the health service.
pub(crate) async fn serve(listener: TcpListener, layer: WatchLayer, gate: Gate) {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<Greeter>().await;
    let serve = Server::builder()
        .layer(layer)
        .add_service(health)
        .add_service(Greeter { gate })
        .serve_with_incoming(TcpIncoming::from(listener));
    serve.await.expect("it serves");
}

/// A channel to the server, which the caller owns.
///
/// # Panics
///
/// If nobody listens there.
pub async fn channel(address: &Address) -> Channel {
    let Address::Tcp(at) = address else {
        panic!("{address:?} is not served by tonic")
    };
    let endpoint = Channel::from_shared(format!("http://{at}")).expect("a URL");
    endpoint.connect().await.expect("it listens")
}

fn method(word: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/lives.Greeter/{word}")).expect("a path")
}

/// One unary call.
///
/// # Errors
///
/// What the service says.
pub async fn call_greeter(channel: Channel, word: &str, name: &str) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("a channel");
    let request = Request::new(name.to_owned());
    let codec = ProstCodec::<String, String>::default();
    let answer = grpc.unary(request, method(word), codec).await?;
    Ok(answer.into_inner())
}

/// One streaming call; the stream is the caller's to drop.
///
/// # Errors
///
/// What the service says.
pub async fn follow_greeter(
    channel: Channel,
    word: &str,
    rows: u64,
) -> Result<tonic::Streaming<String>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("a channel");
    let request = Request::new(rows.to_string());
    let codec = ProstCodec::<String, String>::default();
    let answer = grpc.server_streaming(request, method(word), codec).await?;
    Ok(answer.into_inner())
}
