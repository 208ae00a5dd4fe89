//! What hangs, by where it hangs; one cause a file.

mod blocked;
mod cpu;
mod deadlock;
mod inbound;
mod livelock;
mod memory;
mod network;
mod pool;
mod starved;

pub(crate) use cpu::hasher;

use crate::Case;

/// Codes of the causes that the figures are promised for.
pub const CORPUS: [&str; 30] = [
    "A1", "A3", "A6", "A8", "B2", "B4", "B7", "B8", "C1", "C2", "C5", "C6", "C8", "D1", "D5", "E1",
    "E3", "E6", "E7", "F1", "F2", "F3", "F6", "F8", "F11", "G1", "G2", "H1", "H3", "M1",
];

/// All causes, in the order of their codes.
pub fn all() -> Vec<Case> {
    let mut all = [
        cpu::all(),
        livelock::all(),
        blocked::all(),
        starved::all(),
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

/// `B7` and its variant `B7b` stand before `B10`.
fn place(code: &str) -> (Option<char>, Option<u32>, &str) {
    let number = code[1..].trim_end_matches(|c: char| c.is_ascii_alphabetic());
    (code.chars().next(), number.parse().ok(), code)
}
