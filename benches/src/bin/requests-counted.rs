//! `requests-counted AROUND COUNT [URI]`: what `requests` does, with memory counted.

use redhanded::alloc::Counting;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    redhanded_benches::requests()
}
