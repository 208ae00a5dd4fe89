//! What is known of a request before anybody has judged or cleaned it.

use crate::registry::Label;
use std::net::SocketAddr;
use std::time::SystemTime;

/// What the hot path copied about a request; every part may be cut and may hold any byte.
///
/// Nothing here has been redacted: a `Facts` never leaves the process. [`ask::request`] turns it
/// into the part of a report that may.
///
/// [`ask::request`]: crate::ask::request
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// Method as sent, such as `GET`; at most 32 bytes.
    pub(crate) method: Vec<u8>,
    /// Path and query as sent, cut at 512 bytes.
    pub(crate) target: Vec<u8>,
    /// Length of the whole target in bytes.
    pub(crate) target_bytes: u32,
    /// `Host` header or `:authority`.
    pub(crate) host: Option<Vec<u8>>,
    /// The connection is encrypted, as far as the listener knows.
    pub(crate) https: bool,
    /// Matched route template, such as `/users/{id}`.
    pub(crate) route: Option<String>,
    /// Allow-listed headers with lower-case names, in order; the last one may be cut.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// Bytes of header values that did not fit.
    pub(crate) headers_cut: u32,
    /// Peer address.
    pub(crate) client: Option<SocketAddr>,
    /// The `x-request-id` header.
    pub(crate) request_id: Option<Vec<u8>>,
    /// Parameters of a background job, in the order they were given.
    pub(crate) job: Vec<(String, String)>,
    /// What the application said about it.
    pub(crate) labels: Vec<Label>,
    /// Wall time of the first byte, as far as known.
    pub(crate) started: Option<SystemTime>,
}
