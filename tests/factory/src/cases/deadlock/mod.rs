//! Futures that nothing will ever wake, or that nobody polls.

mod futurelock;
mod missed_notify;
mod no_waker;
mod own_mailbox;
mod recursive_read;
mod waits_for_itself;
mod zero_at_once;
mod zero_permits;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        futurelock::case(),
        recursive_read::case(),
        waits_for_itself::case(),
        zero_at_once::case(),
        zero_permits::case(),
        no_waker::case(),
        missed_notify::case(),
        own_mailbox::case(),
    ]
}
