//! `allocations [URI]`: heap allocations per request on the request's thread, bare and under each layer.
//!
//! A binary of its own: the counting allocator has its price in instructions.

use redhanded_benches::{Around, send};

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let uri = std::env::args().nth(1);
    let (uri, arounds) = match uri.as_deref() {
        Some(uri @ "/spans") => (uri.parse()?, Around::TRACED.as_slice()),
        Some(uri) => (uri.parse()?, Around::ALL.as_slice()),
        None => ("/hello".parse()?, Around::ALL.as_slice()),
    };
    for around in arounds {
        let app = around.app();
        let stack = around.stack();
        let _here = stack.as_ref().map(tracing::dispatcher::set_default);
        // The first request registers the thread and makes the first slots.
        runtime.block_on(send(&app, &uri, 1));
        let counted = allocation_counter::measure(|| runtime.block_on(send(&app, &uri, 1000)));
        println!(
            "{} {:.3}",
            around.name(),
            counted.count_total as f64 / 1000.0
        );
    }
    Ok(())
}
