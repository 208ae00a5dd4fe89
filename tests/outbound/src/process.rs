//! Signals to a process and to those that it has started.

use rustix::process::{Pid, Signal, kill_process};
use std::io;

/// Stops the process `pid`: it runs no more, and its sockets stay as they are.
///
/// # Errors
///
/// If there is none, or it is somebody else's.
pub fn stop(pid: u32) -> io::Result<()> {
    signal(pid, Signal::STOP)
}

/// Lets the process `pid` go on.
///
/// # Errors
///
/// If there is none, or it is somebody else's.
pub fn go_on(pid: u32) -> io::Result<()> {
    signal(pid, Signal::CONT)
}

/// Ends the process `pid` at once, as the kernel does when memory is short.
///
/// # Errors
///
/// If there is none, or it is somebody else's.
pub fn kill(pid: u32) -> io::Result<()> {
    signal(pid, Signal::KILL)
}

pub(crate) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = raw.ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

/// The process `root` and all that descend from it, as `/proc` has them now.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&parent) = tree.get(at) {
        tree.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| pid),
        );
        at += 1;
    }
    tree
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have spaces and parentheses of its own.
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(1)?.parse().ok()
}
