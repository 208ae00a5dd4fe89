//! A connector that tells each address that it tries.

use crate::connector::failure;
use crate::target::port_of;
use crate::{BoxError, Resolver};
use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use redhanded_core::{CallHandle, CallPhase, Failure};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// How long the first family of addresses has for itself, as in RFC 6555 and hyper-util.
const FAMILY_DELAY: Duration = Duration::from_millis(300);

/// Resolves a name and hands each of its addresses to a connector of hyper-util, such as
/// `HttpConnector`, so that every one that is tried is seen, with the time that it took.
///
/// Addresses are tried as hyper-util's `HttpConnector` does it: one after the other in the resolver's
/// order, and those of the other family beside them when the first has had 300 ms. Different is only
/// that a connector's own connect timeout counts for each address instead of being divided among them.
///
/// Under TLS, it stands where the TCP connector would: `HttpsConnectorBuilder::…::wrap_connector(Tcp::new(http))`.
#[derive(Clone, Debug)]
pub struct Tcp<C, R = Resolver<GaiResolver>> {
    inner: C,
    resolver: R,
}

impl<C> Tcp<C> {
    /// Tries addresses by `connector`; names are the system's.
    pub fn new(connector: C) -> Self {
        Self::with_resolver(connector, GaiResolver::new())
    }
}

impl<C, R> Tcp<C, Resolver<R>> {
    /// Tries addresses by `connector`; names are those of `resolver`.
    pub fn with_resolver(connector: C, resolver: R) -> Self {
        Self {
            inner: connector,
            resolver: Resolver::new(resolver),
        }
    }
}

impl<C, R> Service<Uri> for Tcp<C, Resolver<R>>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    C::Response: Send,
    R: Service<Name, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R::Response: Iterator<Item = SocketAddr> + Send,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // The one that was made ready goes, its clone stays.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        if let Some(address) = literal(&uri) {
            return Box::pin(async move {
                let connected = one_by_one(inner, std::iter::once((address, uri))).await?;
                is_there();
                Ok(connected)
            });
        }
        let resolver = self.resolver.clone();
        Box::pin(async move {
            let Some((host, port)) = host_and_port(&uri) else {
                // What is wrong with it, the connector says better.
                return inner.call(uri).await.map_err(Into::into);
            };
            let addresses = addresses(resolver, host, port, uri.port().is_some()).await?;
            if addresses.iter().any(has_zone) {
                // A URI has no place for the zone of a link-local address.
                return inner.call(uri).await.map_err(Into::into);
            }
            let connected = by_family(inner, &uri, addresses).await?;
            is_there();
            Ok(connected)
        })
    }
}

/// Whatever comes between this and the connection is the handshake; without TLS there is nothing in
/// between.
fn is_there() {
    if let Some(call) = CallHandle::here() {
        call.enter(CallPhase::Tls);
    }
}

/// The address that a URI names itself.
fn literal(uri: &Uri) -> Option<SocketAddr> {
    uri.scheme()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port_of(uri)?))
}

fn host_and_port(uri: &Uri) -> Option<(String, u16)> {
    uri.scheme()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port_of(uri)?))
}

async fn addresses<R>(
    mut resolver: Resolver<R>,
    host: String,
    port: u16,
    said: bool,
) -> Result<Vec<SocketAddr>, BoxError>
where
    R: Service<Name, Error: Into<BoxError>>,
    R::Response: Iterator<Item = SocketAddr>,
{
    std::future::poll_fn(|cx| resolver.poll_ready(cx))
        .await
        .map_err(Into::into)?;
    let found = resolver.call(host.parse()?).await.map_err(Into::into)?;
    let with_port = |mut address: SocketAddr| {
        if said || address.port() == 0 {
            address.set_port(port);
        }
        address
    };
    let found: Vec<SocketAddr> = found.map(with_port).collect();
    if found.is_empty() {
        if let Some(call) = CallHandle::here() {
            call.enter(CallPhase::Dns);
        }
        return Err(format!("the name {host:?} has no address").into());
    }
    Ok(found)
}

fn has_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0)
}

/// The first family, and after a while the other one beside it; who connects first has won.
async fn by_family<C>(
    inner: C,
    uri: &Uri,
    addresses: Vec<SocketAddr>,
) -> Result<C::Response, BoxError>
where
    C: Service<Uri, Error: Into<BoxError>> + Clone,
{
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let (first, other) = (with_uris(uri, first)?, with_uris(uri, other)?);
    if other.is_empty() {
        return one_by_one(inner, first).await;
    }
    let mut preferred = std::pin::pin!(one_by_one(inner.clone(), first));
    let (second, others) = (inner.clone(), other.clone());
    let delayed = async move {
        tokio::time::sleep(FAMILY_DELAY).await;
        one_by_one(second, others).await
    };
    let mut delayed = std::pin::pin!(delayed);
    tokio::select! {
        biased;
        result = &mut preferred => match result {
            Ok(connected) => Ok(connected),
            // No need to wait any longer.
            Err(_) => one_by_one(inner, other).await,
        },
        result = &mut delayed => match result {
            Ok(connected) => Ok(connected),
            Err(_) => preferred.await,
        },
    }
}

fn with_uris(uri: &Uri, addresses: Vec<SocketAddr>) -> Result<Vec<(SocketAddr, Uri)>, http::Error> {
    let with_uri = |address| Ok((address, uri_of(uri, address)?));
    addresses.into_iter().map(with_uri).collect()
}

async fn one_by_one<C>(
    mut inner: C,
    addresses: impl IntoIterator<Item = (SocketAddr, Uri)>,
) -> Result<C::Response, BoxError>
where
    C: Service<Uri, Error: Into<BoxError>>,
{
    let mut last: BoxError = "no address to connect to".into();
    for (address, uri) in addresses {
        let attempt = Attempt::begin(address);
        std::future::poll_fn(|cx| inner.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        match inner.call(uri).await {
            Ok(connected) => {
                attempt.end(None);
                return Ok(connected);
            }
            Err(error) => {
                let error = error.into();
                attempt.end(Some(failure(&error, CallPhase::Connect)));
                last = error;
            }
        }
    }
    Err(last)
}

/// The same URI with an address for its host: only host and port are looked at.
fn uri_of(uri: &Uri, address: SocketAddr) -> Result<Uri, http::Error> {
    Uri::builder()
        .scheme(uri.scheme_str().unwrap_or("http"))
        .authority(address.to_string())
        .path_and_query("/")
        .build()
}

/// An address that is tried; dropped without an end, another one was faster.
struct Attempt {
    call: Option<CallHandle>,
    address: SocketAddr,
}

impl Attempt {
    fn begin(address: SocketAddr) -> Self {
        let call = CallHandle::here();
        if let Some(call) = &call {
            call.trying(address);
        }
        Self { call, address }
    }

    fn end(mut self, failure: Option<Failure>) {
        if let Some(call) = self.call.take() {
            call.tried(self.address, failure);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.tried(self.address, Some(Failure::Dropped));
        }
    }
}
