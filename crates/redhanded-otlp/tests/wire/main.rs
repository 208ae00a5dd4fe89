//! What goes over the wire, to real HTTP servers.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod calls;
mod collector;
mod delivery;
mod environment;
mod spans;
