//! `heap-system [pairs COUNT]`: allocations by the system's allocator.

fn main() {
    redhanded_benches::heap::main("system");
}
