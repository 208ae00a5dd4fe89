//! The flight recorder's file: what it looks like, and a reader of its bytes.
//!
//! A process that was told to keeps a file with one record for each request in flight. It is mapped into memory, so
//! that whatever was stored in it is there after the process was killed. This module knows the format and
//! reads it from bytes, wherever they come from; it opens nothing. The engine writes, `redhanded postmortem` and the
//! next start of the service read.
//!
//! ```
//! use redhanded_report::recorder::{self, Refused};
//! assert_eq!(recorder::read(b""), Err(Refused::Truncated { bytes: 0, needed: 4096 }));
//! let text = [b'#'; 9000];
//! assert_eq!(recorder::read(&text).unwrap_err().to_string(),
//!     "no flight recorder of redhanded: it begins with \"########\", and such a file begins with \"redhndFR\"");
//! ```

pub mod layout;
mod parse;
mod read;
mod refused;

pub use read::{Caught, Header, InFlight, PeerNow, Recording, State, ThreadNow, read};
pub use refused::Refused;

#[cfg(test)]
mod tests;
