//! A poll that does not return, and whose thread sleeps: in a lock, or in a system call.

mod block_on_inside;
mod child_output;
mod driver_on_worker;
mod drop_relocks;
mod fifo;
mod forgotten_guard;
mod guard_across_await;
mod map_ref_across_await;
mod stdout_unread;

use crate::Case;

pub(super) fn all() -> Vec<Case> {
    vec![
        guard_across_await::case(),
        map_ref_across_await::case(),
        drop_relocks::case(),
        driver_on_worker::case(),
        driver_on_worker::case_of_one(),
        stdout_unread::case(),
        child_output::case(),
        block_on_inside::case(),
        fifo::case(),
        fifo::case_of_tokio(),
        forgotten_guard::case(),
    ]
}
