//! Atomics from std, or from loom when the handshakes are model-checked.
//!
//! The cfg is our own and not `loom`, because tokio and parking_lot react to that one.

#[cfg(redhanded_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(redhanded_loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

pub(crate) use std::sync::atomic::Ordering;
