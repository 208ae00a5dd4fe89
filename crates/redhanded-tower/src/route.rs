//! The matched route and the client's address, where axum knows them; the connection, where the
//! request was told.

use crate::listener::ClientAddress;
use http::Request;
use std::net::SocketAddr;

/// The route template that matched, such as `/users/{id}`.
#[cfg(feature = "axum")]
#[inline]
pub(crate) fn matched<B>(request: &Request<B>) -> Option<&str> {
    request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map(axum::extract::MatchedPath::as_str)
}

/// The address of the client, from `into_make_service_with_connect_info`.
#[cfg(feature = "axum")]
#[inline]
pub(crate) fn client<B>(request: &Request<B>) -> Option<SocketAddr> {
    request
        .extensions()
        .get::<axum::extract::ConnectInfo<SocketAddr>>()
        .map(|info| info.0)
}

/// Nobody matched a route.
#[cfg(not(feature = "axum"))]
#[inline]
pub(crate) fn matched<B>(_: &Request<B>) -> Option<&str> {
    None
}

/// Nobody knows the client.
#[cfg(not(feature = "axum"))]
#[inline]
pub(crate) fn client<B>(_: &Request<B>) -> Option<SocketAddr> {
    None
}

/// The connection that a request was told of that cannot find out by itself.
pub(crate) fn connection<B>(request: &Request<B>) -> Option<ClientAddress> {
    #[cfg(feature = "axum")]
    {
        type Info = axum::extract::ConnectInfo<ClientAddress>;
        if let Some(info) = request.extensions().get::<Info>() {
            return Some(info.0);
        }
    }
    request.extensions().get::<ClientAddress>().copied()
}
