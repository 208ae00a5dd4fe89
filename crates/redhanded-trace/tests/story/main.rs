//! The layer in real stacks, over real installs: what a caught request's report has of its spans and
//! events.

mod bad_input;
mod common;
mod stacks;
mod whose;
