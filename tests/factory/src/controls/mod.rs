//! What looks bad and must not be accused; one a file.

mod at_the_threshold;
mod clock_step;
mod drain;
mod goes_on;
mod quota;
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
        drain::case(),
        at_the_threshold::case(),
        goes_on::case(),
    ]
}
