//! Hosts that cannot be reached, do not answer, or stop in the middle.

mod black_hole;
mod confirm;
mod half_a_body;
mod mail;
mod multiplexed;
mod name_server;
mod no_handshake;
mod postgres;
mod silent;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        silent::case(),
        silent::watched(),
        black_hole::case(),
        half_a_body::case(),
        half_a_body::watched(),
        name_server::case(),
        no_handshake::case(),
        mail::case(),
        multiplexed::case(),
        confirm::case(),
        postgres::case(),
    ]
}
