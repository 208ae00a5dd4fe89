//! What goes over the wire, to real HTTP servers.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod alongside;
mod calls;
mod collector;
mod delivery;
mod environment;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_collector;
mod metrics;
mod spans;
mod spool;
#[cfg(all(feature = "grpc", feature = "tls"))]
mod tls;
