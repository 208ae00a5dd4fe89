//! Servers as they are installed, for tests of calls to them: each a process of its own, on a free port
//! of the loop-back, with its files in a directory that goes with it. A server ends with the thread that has
//! started it at the latest, so that nothing outlives a test that is killed.

mod hole;
mod kinds;
mod process;
mod ready;
mod server;
pub mod stomp;

pub use hole::BlackHole;
pub use process::{go_on, kill, stop};
pub use server::Server;
