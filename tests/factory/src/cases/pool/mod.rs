//! Pools and limits that others have used up.

mod nested;
mod no_timeout;
mod slow_clients;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![no_timeout::case(), nested::case(), slow_clients::case()]
}
