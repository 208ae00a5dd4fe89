//! `requests AROUND COUNT [URI]`: sends that many requests in-process, one after the other, on one
//! thread.
//!
//! Run under callgrind with two counts, the difference is the price of a request without that of
//! the start: `cargo xtask bench` does that.

use redhanded_benches::{Around, send};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let around = args
        .next()
        .and_then(|a| Around::by_name(&a))
        .ok_or("bare, identity or redhanded?")?;
    let count = args.next().ok_or("how many?")?.parse()?;
    let uri = args.next().unwrap_or_else(|| "/hello".to_owned()).parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(&around.app(), &uri, count));
    Ok(())
}
