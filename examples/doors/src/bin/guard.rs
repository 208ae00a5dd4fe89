//! A framework whose middleware is no tower layer: the guard is told what is known, and wraps the future.
//!
//! The same three lines stand in an actix-web `from_fn` middleware around `next.call(request)`.

use bytes::Bytes;
use doors::{SLOW_AFTER, ask_the_archive, listen};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use redhanded::Redhanded;
use std::convert::Infallible;
use std::net::SocketAddr;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/slow" {
        ask_the_archive().await;
    }
    Ok(Response::new(Full::from("hello\n")))
}

async fn middleware(
    redhanded: Redhanded,
    client: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut asked = redhanded
        .request(request.method().as_str(), &request.uri().to_string())
        .client(client);
    for (name, value) in request.headers() {
        asked = asked.header(name.as_str(), value);
    }
    asked.run(answer(request)).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redhanded = Redhanded::builder("guard")
        .slow_after(SLOW_AFTER)
        .install()?;
    let listener = listen().await?;
    loop {
        let (io, client) = listener.accept().await?;
        let redhanded = redhanded.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| middleware(redhanded.clone(), client, request));
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(io), service)
                .await;
            if let Err(error) = served {
                eprintln!("connection: {error}");
            }
        });
    }
}
