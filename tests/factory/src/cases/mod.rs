//! What hangs, by where it hangs; one cause a file.

mod cpu;
mod deadlock;
mod inbound;
mod memory;
mod network;
mod pool;

use crate::Case;

/// All causes, in the order of their codes.
pub fn all() -> Vec<Case> {
    let mut all = [
        cpu::all(),
        deadlock::all(),
        network::all(),
        pool::all(),
        inbound::all(),
        memory::all(),
    ]
    .concat();
    all.sort_by_key(|case| place(case.code));
    all
}

/// The letter, the number, and the letter of a variant.
fn place(code: &str) -> (&str, u32, &str) {
    let (letter, rest) = code.split_at(1);
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let (number, variant) = rest.split_at(end.unwrap_or(rest.len()));
    (letter, number.parse().unwrap_or_default(), variant)
}
