//! What looks bad and must not be accused; one a file.

mod busy_background;
mod idle_background;
mod lock_upgrade;
mod long_work;
mod moving_queue;
mod short_bursts;

use crate::Case;

/// All controls, in the order of their codes.
pub fn all() -> Vec<Case> {
    vec![
        long_work::case(),
        busy_background::case(),
        idle_background::case(),
        lock_upgrade::case(),
        short_bursts::case(),
        moving_queue::case(),
    ]
}
