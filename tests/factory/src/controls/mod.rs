//! What looks bad and must not be accused; one a file.

mod at_the_threshold;
mod busy_background;
mod clock_step;
mod drain;
mod goes_on;
mod idle_background;
mod lock_upgrade;
mod long_work;
mod moving_queue;
mod quota;
mod short_bursts;
mod slow_download;
mod slow_upload;
mod stopped;
mod streams;

use crate::Case;

/// All controls, in the order of their codes.
pub fn all() -> Vec<Case> {
    vec![
        streams::events(),
        streams::long_poll(),
        streams::web_socket(),
        slow_upload::case(),
        slow_download::watched(),
        slow_download::unwatched(),
        stopped::case(),
        clock_step::case(),
        quota::case(),
        long_work::case(),
        drain::case(),
        busy_background::case(),
        idle_background::case(),
        lock_upgrade::case(),
        at_the_threshold::case(),
        short_bursts::case(),
        moving_queue::case(),
        goes_on::case(),
    ]
}
