//! Clients that do not send or do not read, and children that cannot write.

mod full_pipe;
mod slow_body;
mod unread;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![slow_body::case(), unread::case(), full_pipe::case()]
}
