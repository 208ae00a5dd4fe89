//! Other hosts that let a call hang, the clients that call them, and what is expected of a report.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

pub mod clients;
pub mod faults;
pub mod names;
pub mod patterns;
pub mod tls;
