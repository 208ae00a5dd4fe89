//! What hangs, by where it hangs; one cause a file.

mod cpu;
mod deadlock;

use crate::Case;

/// All causes, in the order of their codes.
pub fn all() -> Vec<Case> {
    let mut all = [cpu::all(), deadlock::all()].concat();
    all.sort_by_key(|case| (case.code.as_bytes()[0], case.code[1..].parse::<u32>().ok()));
    all
}
