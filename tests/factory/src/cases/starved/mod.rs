//! Nobody has time: workers or threads of the blocking pool that are all taken.

mod hogs;
mod nested_blocking;
mod stampede;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        nested_blocking::case(),
        nested_blocking::case_of_tokio(),
        hogs::case(),
        stampede::case(),
    ]
}
