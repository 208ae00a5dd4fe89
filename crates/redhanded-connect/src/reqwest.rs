//! Clients of reqwest: connections are watched, and what follows is concluded.
//!
//! | phase | how it is known |
//! |---|---|
//! | `dns` | measured, by reqwest's hook for resolvers |
//! | `connect` | measured as a whole; which address is tried is told by the socket |
//! | `tls` | part of the same; concluded from a socket that is connected, or from names on the stack |
//! | `wait_headers`, `read_body` | concluded: reqwest has no hook for requests. The stack says that the request waits in reqwest, and the process's sockets say which of the connections that were made here owes an answer |
//!
//! Where several connections owe an answer at the time, a report says `suspected` and names them. Who wants
//! it measured runs the call within the guard: `redhanded::outbound("http", "api:443").try_run(client.get(url).send())`.

use crate::target::authority;
use crate::{BoxError, Connect, Resolving};
use ::reqwest::ClientBuilder;
use ::reqwest::dns::{Addrs, Name, Resolve};
use http::Uri;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Watches the connections of the client that is built. Names are resolved by the system, and a resolver that the
/// builder was given before is replaced: see [`watched_with_resolver`].
///
/// ```
/// # fn build() -> Result<reqwest::Client, reqwest::Error> {
/// let client = redhanded_connect::reqwest::watched(reqwest::Client::builder()).build()?;
/// # Ok(client) }
/// ```
pub fn watched(builder: ClientBuilder) -> ClientBuilder {
    watched_with_resolver(builder, Arc::new(System))
}

/// The same for a client with a resolver of its own. A later `dns_resolver` of reqwest's would take its place, and
/// `dns` would then be part of `connect`.
pub fn watched_with_resolver(builder: ClientBuilder, resolver: Arc<dyn Resolve>) -> ClientBuilder {
    builder
        .dns_resolver(Arc::new(Watched(resolver)))
        .connector_layer(ConnectLayer)
}

/// The system's resolver, which reqwest has for itself.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> ::reqwest::dns::Resolving {
        let name = name.as_str().parse();
        Box::pin(async move {
            let found = GaiResolver::new().call(name?).await?;
            let found: Addrs = Box::new(found);
            Ok(found)
        })
    }
}

struct Watched(Arc<dyn Resolve>);

impl Resolve for Watched {
    fn resolve(&self, name: Name) -> ::reqwest::dns::Resolving {
        Box::pin(Resolving::begin(|| self.0.resolve(name)))
    }
}

/// Watches a connector of reqwest, whose requests have no name and no fields.
#[derive(Clone, Copy, Debug)]
struct ConnectLayer;

impl<S> Layer<S> for ConnectLayer {
    type Service = Watching<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Watching { inner }
    }
}

#[derive(Clone, Copy, Debug)]
struct Watching<S> {
    inner: S,
}

impl<S, R> Service<R> for Watching<S>
where
    R: Debug,
    S: Service<R, Response: Connection, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Connect<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let uri = uri_in(&request);
        match uri.as_ref().and_then(authority) {
            Some(peer) => {
                let call = Connect::<S::Future>::begin(peer);
                Connect::for_itself(call, || self.inner.call(request))
            }
            None => Connect::for_nobody(self.inner.call(request)),
        }
    }
}

/// The URI in `Unnameable(https://api.example/)`. A request that prints otherwise goes to nobody knows where: it is not
/// watched, and what is known of its host is what its socket tells.
fn uri_in(request: &impl Debug) -> Option<Uri> {
    let printed = format!("{request:?}");
    let (_, rest) = printed.split_once('(')?;
    rest.strip_suffix(')')?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_from_what_prints_one() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "it is printed")]
        struct Unnameable(Uri);
        let request = Unnameable("https://api.example/".parse().expect("a URI"));
        let uri = uri_in(&request).expect("printed");
        let peer = authority(&uri).expect("has a host");
        assert_eq!((peer.host(), peer.port()), ("api.example", Some(443)));
        assert!(uri_in(&"nothing of the kind").is_none());
    }
}
