//! `allocations`: heap allocations per request on the request's thread, bare and under each layer.
//!
//! A binary of its own: the counting allocator has its price in instructions.

use redhanded_benches::{Around, send};

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let uri = "/hello".parse()?;
    for around in Around::ALL {
        let app = around.app();
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
