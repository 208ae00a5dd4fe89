//! ① Inbound: one tower middleware that gives every HTTP request a slot.
//!
//! [`WatchLayer`] does the same small work for every request: take a slot, copy the facts into it,
//! mark each poll, close it when the response body has ended or was dropped. No timer, no thread,
//! no allocation of its own; the response body changes its type, and boxing that (axum does) costs
//! one.
//!
//! [`Listener`] stands before it, where the user puts it there: it knows the clients' addresses and
//! whether they are gone, and sees requests that never become whole.
//!
//! Applications use `redhanded::Redhanded::layer` and `listener`.

mod body;
mod copy;
mod future;
mod layer;
mod listener;
mod long_lived;
mod route;
mod service;
mod slow_after;

pub use body::WatchedBody;
pub use future::ResponseFuture;
pub use layer::WatchLayer;
pub use listener::{ClientAddress, Listener, Listening, WatchedIo};
pub use long_lived::{LongLived, LongLivedLayer};
pub use service::Watch;
pub use slow_after::{SlowAfter, SlowAfterLayer};
