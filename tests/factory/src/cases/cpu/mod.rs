//! A poll that burns CPU and does not return.

mod regex;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![regex::case()]
}
