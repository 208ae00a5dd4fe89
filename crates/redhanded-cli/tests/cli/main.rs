//! The command as a user meets it: its own process, real files, real pipes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod bad_input;
mod drill;
mod explain;
mod manual;
mod postmortem;
mod run;
mod show;
mod tail;
mod terminal;
mod top;
