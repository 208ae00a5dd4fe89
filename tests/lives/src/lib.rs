//! The life of a slot, for every kind of request that a server can get and every way it can end,
//! with real clients over real connections.
//!
//! A [`Lane`] is one install with its servers. It runs batches: so many requests of one kind that
//! are all to end in one way. After each it waits until nothing is in flight and compares how the
//! requests ended, by the install's own count, with how they should have. What may race is made
//! unambiguous by the handler (one that never answers cannot complete), never tolerated.

mod answer;
mod app;
mod bare;
mod batch;
mod client;
mod frames;
mod gate;
mod grpc;
mod install;
pub mod kind;
mod raw;
mod serve;
mod table;
mod tls;
pub mod tools;
mod wire;

pub use batch::{Chance, Hanging, Lane, Leaves, read, scale, seed};
pub use client::{Client, Protocol};
pub use frames::Frames;
pub use gate::Gate;
pub use grpc::{call_greeter, channel, follow_greeter};
pub use install::{Kept, Watched};
pub use kind::Kind;
pub use raw::Raw;
pub use serve::{Address, Flavour, Server};
pub use table::{End, Table, Wanted};

use std::time::{Duration, Instant};

/// How long a batch waits for what must come; machines that run tests are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What every panic on purpose says; see [`hush`].
pub const ON_PURPOSE: &str = "on purpose";

/// Panics on purpose say nothing on stderr; all others do as before.
pub fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(ON_PURPOSE) {
                before(info);
            }
        }));
    });
}

/// Asks every millisecond until `ask` says yes or [`PATIENCE`] has passed, which gives `false`.
pub async fn comes(mut ask: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !ask() {
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}
