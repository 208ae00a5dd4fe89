//! Many short polls that get nowhere.

mod eof_ignored;
mod pages;
mod replica;
mod retry;
mod self_waking_ready;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        self_waking_ready::case(),
        eof_ignored::case(),
        pages::case(),
        pages::case_of_two(),
        pages::case_of_empty(),
        retry::case(),
        retry::case_of_guarded(),
        replica::case(),
    ]
}
