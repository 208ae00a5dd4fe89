//! hyper without a framework: the layer goes around any tower service, the listener around the socket.

use bytes::Bytes;
use doors::{SLOW_AFTER, ask_the_archive, listen};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use redhanded::Redhanded;
use std::convert::Infallible;
use tower::{Layer, service_fn};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/slow" {
        ask_the_archive().await;
    }
    Ok(Response::new(Full::from("hello\n")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redhanded = Redhanded::builder("bare-hyper")
        .slow_after(SLOW_AFTER)
        .install()?;
    let service = TowerToHyperService::new(redhanded.layer().layer(service_fn(answer)));

    // The listener is optional: it adds the client's address, proved `client_gone`, slow heads.
    let listener = redhanded.listener(listen().await?);
    loop {
        let (io, _) = listener.accept().await?;
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let served = server.serve_connection(TokioIo::new(io), service).await;
            if let Err(error) = served {
                eprintln!("connection: {error}");
            }
        });
    }
}
