//! `requests AROUND COUNT [URI]`: sends that many requests in-process, one after the other, on one
//! thread.
//!
//! Run under callgrind with two counts, the difference is the price of a request without that of
//! the start: `cargo xtask bench` does that.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    redhanded_benches::requests()
}
