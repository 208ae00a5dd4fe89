//! Memory counted per request: a global allocator that the application opts in to.
//!
//! With it every report says how much its request has allocated (`evidence.alloc_bytes`), and a request
//! that allocates more and more and gives nothing back is `memory_growth`, also while it is a stream that
//! may rest for hours: a channel that nobody reads, a loop that collects, pages without end.
//!
//! ```
//! use redhanded::alloc::Counting;
//! use std::alloc::System;
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting<System> = Counting::new(System);
//!
//! # fn main() {}
//! ```
//!
//! Any other allocator goes in the place of `System`. Tasks and closures count for their request when
//! they were started by [`spawn`](crate::spawn), [`spawn_blocking`](crate::spawn_blocking) or
//! [`in_current_request`](crate::InCurrentRequest::in_current_request); what other threads free for it
//! is not seen, so that what a request holds is an upper bound, and nobody is accused unless the whole
//! process grows as well. Memory that never goes through the allocator, such as a mapped file, is not
//! counted.

pub use redhanded_capture::alloc::Counting;
