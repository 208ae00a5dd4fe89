//! What a look sees of outbound calls: numbers and facts, for rules and for records.

use super::CallPhase;
use redhanded_report::Peer;
use serde::{Deserialize, Serialize};

/// An outbound call that is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallSeen {
    /// `http`, `postgres`, …
    pub kind: String,
    /// The name that it was asked for by.
    pub host: String,
    /// The port that it was asked for by.
    pub port: Option<u16>,
    /// Its own socket, or the only one that the leaves had at hand; without one, at most the address.
    pub socket: Option<Peer>,
    /// Where it is; `None` where nobody has told.
    pub phase: Option<CallPhase>,
    /// The phase was not told by the call itself.
    pub inferred: bool,
    /// For how long nothing has moved in this phase, in milliseconds.
    pub rests_ms: f64,
    /// For how long it has been open, in milliseconds.
    pub elapsed_ms: f64,
    /// It was polled in the last poll of its request.
    pub polled: bool,
    /// Another task has polled it since it was begun, or another request.
    pub elsewhere: bool,
    /// Bytes of the answer's body that have come.
    pub received_bytes: u64,
    /// Ids of other requests that hold connections to this host, the first to hold one first.
    pub holders: Vec<String>,
}

/// Finished outbound calls to one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallTotal {
    /// `http`, `postgres`, …
    pub kind: String,
    /// The name that it was asked for by.
    pub host: String,
    /// The port that it was asked for by.
    pub port: Option<u16>,
    /// How many.
    pub calls: u64,
    /// Those without an answer, or with 429 or 5xx.
    pub failed: u64,
    /// Those that were answered with a redirect.
    pub redirected: u64,
    /// Those that asked for another part of the same as the call before.
    pub paged: u64,
    /// What they took together, in milliseconds.
    pub total_ms: f64,
}

/// `10.0.0.7:5432 (db1)`, or as much of it as is known.
pub(crate) fn spelled(peer: &Peer) -> String {
    let (address, port) = (peer.address.as_deref(), peer.port);
    let name = peer.name.as_deref();
    match (address, name) {
        (Some(address), Some(name)) if address != name => {
            format!("{} ({name})", with_port(address, port))
        }
        (Some(address), _) => with_port(address, port),
        (None, Some(name)) => with_port(name, port),
        (None, None) => with_port("an unknown address", port),
    }
}

fn with_port(host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
