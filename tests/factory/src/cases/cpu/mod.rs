//! A poll that burns CPU and does not return.

mod failing_lines;
mod hashes;
mod next_occurrence;
mod regex;
mod spin_wait;
mod untagged;
mod xml;

pub(crate) use hashes::hasher;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        regex::case(),
        xml::case(),
        failing_lines::case(),
        hashes::case(),
        spin_wait::case(),
        next_occurrence::case(),
        untagged::case(),
    ]
}
