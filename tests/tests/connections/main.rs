//! Real clients on watched listeners: whose request it is, who goes away, and who never gets as far
//! as a request.

mod accepts;
mod addresses;
mod ends;
mod heads;
mod servers;
mod watched;
