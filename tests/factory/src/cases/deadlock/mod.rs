//! Futures that nothing will ever wake, or that nobody polls.

mod no_waker;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![no_waker::case()]
}
