//! Linux on `x86_64`: everything can be looked at.

mod accept;
mod doubt;
mod engine;
mod fd;
mod link;
mod memory;
mod modules;
mod own_stack;
mod peer;
mod reach;
mod recover;
mod signal;
mod sleeps;
mod snapshot;
mod sockets;
mod syscalls;
mod task;
mod wait;
mod walk;

pub(crate) use accept::accept_queue;
pub(crate) use engine::Engine;
pub(crate) use own_stack::Cleared;
pub(crate) use peer::peer_of;
pub(crate) use sleeps::{any_waits_for_a_peer, sleeps_on};
pub(crate) use sockets::{sockets_behind, sockets_to};
pub(crate) use syscalls::syscall_name;
pub(crate) use task::Task;
pub(crate) use wait::waits_for;

use crate::Module;
use redhanded_report::Frame;
use std::path::PathBuf;

/// The file to read a module's symbols from: the running executable is there even after its path was deleted or replaced.
pub(crate) fn file_of(module: &Module) -> PathBuf {
    if module.is_main {
        PathBuf::from("/proc/self/exe")
    } else {
        module.path.clone()
    }
}

/// Code outside of every module was made at run time: it has no names.
pub(crate) fn name_without_module(_address: u64) -> Vec<Frame> {
    Vec::new()
}
