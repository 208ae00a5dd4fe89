//! What is known of outbound calls: one state a call, shared by who makes it and who looks; one row a
//! host, for the whole process; one ledger a request.
//!
//! Data only: who calls is found in [`outbound`](crate::outbound), and `registry` keeps the ledgers.

pub(crate) mod connections;
mod failure;
mod ledger;
mod peers;
mod phase;
mod row;
mod state;

pub use failure::Failure;
pub use peers::{Peers, peers};
pub use phase::CallPhase;
pub use row::{PeerStats, PhaseStats};

pub(crate) use ledger::{Ledger, Total};
pub(crate) use peers::row_of;
pub(crate) use row::Row;
pub(crate) use state::{Attempt, CallState, Opener};
