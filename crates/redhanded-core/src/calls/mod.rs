//! What is known of outbound calls: one state a call, shared by who makes it and who looks; one row a
//! host, for the whole process; one ledger a request.
//!
//! Data only: who calls is found in [`outbound`](crate::outbound), and `registry` keeps the ledgers.

mod authority;
pub(crate) mod connections;
mod counted;
mod failure;
mod ledger;
mod peers;
mod phase;
mod row;
mod seen;
mod state;

pub use authority::Authority;
pub use failure::Failure;
pub use peers::{Peers, peers};
pub use phase::CallPhase;
pub use row::{PeerStats, PhaseStats};
pub use seen::{CallSeen, CallTotal};

pub(crate) use counted::{Counted, counted};
pub(crate) use ledger::{Ledger, Total};
pub(crate) use peers::row_of;
pub(crate) use row::Row;
pub(crate) use seen::spelled;
pub(crate) use state::{Attempt, CallState, Opener};

/// The kind of a connection that is no part of another call.
pub(crate) const CONNECTION: &str = "connection";
