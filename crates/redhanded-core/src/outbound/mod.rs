//! ① Outbound calls: who makes one says so, and it stands on the slot of the request that it is made for.
//!
//! [`Outbound`] is the guard for anything; the crate `redhanded-connect` makes [`Call`]s for HTTP.

mod call;
mod guard;
mod here;

pub use call::{Call, CallHandle};
pub use guard::{Acquiring, Always, Calling, Ending, Fallible, Held, Outbound};
