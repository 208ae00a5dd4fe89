//! Memory that grows for as long as a request lives.

mod unbounded_channel;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![unbounded_channel::case()]
}
