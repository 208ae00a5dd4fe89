//! Numbers as they are told to who scrapes: over real HTTP, while the process hangs, and read by real parsers.

mod parsers;
mod scraped;
mod served;
mod text;
