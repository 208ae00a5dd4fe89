//! `heap-counted [pairs COUNT]`: the same, counted.

use redhanded::alloc::Counting;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

fn main() {
    redhanded_benches::heap::main("counted");
}
