//! What was asked.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The request as it came in, redacted, every part printable and bounded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Request {
    /// HTTP method, or `JOB` for a background job.
    pub method: String,
    /// The matched route, such as `/users/{id}`; a job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Absolute URL where the Host is known, else path and query.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Path, percent-encoded as it came.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Query without the question mark, percent-encoded as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Decoded parameters.
    #[serde(default)]
    pub params: Params,
    /// Allow-listed headers, lower-case names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Peer address, where the listener or `ConnectInfo` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The `x-request-id` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What the application said about this request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Announced or received size of the request body in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// When it started: RFC 3339, microseconds, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// One shell-safe `curl` line that asks the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
}

/// Decoded parameters of a request, by where they stood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Params {
    /// By the name in the route template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path: BTreeMap<String, String>,
    /// By the key in the query; a key that repeats has its values joined by `, `.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// The parameter of a background job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub job: BTreeMap<String, String>,
}
