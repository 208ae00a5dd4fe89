//! A connection to the collector, by HTTP/1 or HTTP/2.

use crate::endpoint::Protocol;
use crate::transport::{Failure, Outgoing};
#[cfg(feature = "grpc")]
use crate::unseen::Unseen;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
#[cfg(feature = "grpc")]
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use tokio::io::{AsyncRead, AsyncWrite};

/// An open connection; it moves only while a request is on it.
pub(crate) struct Link {
    sender: Sender,
    /// What reads and writes. It is polled beside a request and not spawned: nothing of it outlives the link.
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

enum Sender {
    Http1(http1::SendRequest<http_body_util::Full<bytes::Bytes>>),
    #[cfg(feature = "grpc")]
    Http2(http2::SendRequest<http_body_util::Full<bytes::Bytes>>),
}

impl Link {
    pub(crate) async fn over<S>(stream: S, protocol: Protocol) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match protocol {
            Protocol::Http => {
                let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
                Ok(Self::driven(Sender::Http1(sender), driver))
            }
            #[cfg(feature = "grpc")]
            Protocol::Grpc => {
                let (sender, driver) = http2::handshake(Hidden, TokioIo::new(stream)).await?;
                Ok(Self::driven(Sender::Http2(sender), driver))
            }
            #[cfg(not(feature = "grpc"))]
            Protocol::Grpc => Err("this build has no gRPC".into()),
        }
    }

    fn driven<E>(
        sender: Sender,
        driver: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        // Its error, if any, is also the exchange's.
        let driver: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async { drop(driver.await) });
        Self {
            sender,
            driver: Some(driver),
        }
    }

    /// Sends a request and has the answer read by `read`.
    pub(crate) async fn exchange<T, R: Future<Output = Result<T, Failure>>>(
        &mut self,
        request: Outgoing,
        read: impl FnOnce(Response<Incoming>) -> R,
    ) -> Result<T, Failure> {
        let Self { sender, driver } = self;
        let mut exchange = pin!(async { read(sender.send(request).await?).await });
        poll_fn(|cx| {
            if driver
                .as_mut()
                .is_some_and(|open| open.as_mut().poll(cx).is_ready())
            {
                *driver = None;
            }
            exchange.as_mut().poll(cx)
        })
        .await
    }
}

impl Sender {
    async fn send(&mut self, request: Outgoing) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            #[cfg(feature = "grpc")]
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Spawns what HTTP/2 needs beside its connection on the exporter's own runtime; h2 is full of `tracing`.
#[cfg(feature = "grpc")]
#[derive(Clone, Copy)]
struct Hidden;

#[cfg(feature = "grpc")]
impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Hidden {
    fn execute(&self, work: F) {
        drop(tokio::spawn(Unseen::new(work)));
    }
}
