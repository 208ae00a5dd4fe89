//! Outbound HTTP that redhanded watches: which host a request waits for, and how far the two have come.
//!
//! | a user has | they write | phases |
//! |---|---|---|
//! | a client of hyper-util | [`Client::new`] around it, [`Connector::new`] around its connector | all; see below for `dns`, `tls` and addresses |
//! | a tonic channel | [`ClientLayer`] around it, [`Connector::new`] in `connect_with_connector` | the same |
//! | reqwest | `reqwest::watched(builder)`, feature `reqwest` | `dns`, `connect`, `tls`; the rest is concluded |
//! | anything else | `redhanded::outbound(kind, peer).run(future)` | concluded |
//!
//! # What is measured, and what is concluded
//!
//! [`Connector`] sees when a connection is begun and when it is there. What it is made of says more:
//! [`Resolver`] tells `dns`, [`Tcp`] tells each address that is tried, and what lies between the last
//! address and the connection is `tls`. Without them the time is `connect`, unless the socket tells
//! that it is connected already: that is `tls`, too.
//!
//! [`Client`] sees the rest: `pool` until there is a connection, `write` while the request's body is
//! asked for, `wait_headers`, and `read_body`, with bytes and progress. That a pooled connection is
//! there at once is concluded, from hosts that this process has connected to before.
//!
//! ```
//! use hyper_util::client::legacy::{self, connect::HttpConnector};
//! use hyper_util::rt::TokioExecutor;
//! use redhanded_connect::{Client, Connector, Tcp};
//!
//! # type Body = http_body_util::Empty<bytes::Bytes>;
//! let connector = Connector::new(Tcp::new(HttpConnector::new()));
//! let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
//! let client: Client<legacy::Client<_, redhanded_connect::RequestBody<Body>>> = Client::new(client);
//! # let _ = client;
//! ```

mod body;
mod client;
mod connector;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod resolver;
mod target;
mod tcp;

pub use body::{RequestBody, ResponseBody};
pub use client::{Client, ClientLayer, ResponseFuture};
pub use connector::{Connect, Connector};
pub use redhanded_core::{Authority, Call, CallHandle, CallPhase, Failure};
pub use resolver::{Resolver, Resolving};
pub use tcp::Tcp;

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
