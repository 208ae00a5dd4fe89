//! Signals to a process and to those that it has started.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::time::{Duration, Instant};

/// How long the threads of a stopped process may take to stand.
const STANDS: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Stops the process `pid`: none of its threads runs when this returns, and its sockets stay as they are.
///
/// # Errors
///
/// If there is none, it is somebody else's, or a thread of it does not stand within 10 s.
pub fn stop(pid: u32) -> io::Result<()> {
    signal(pid, Signal::STOP)?;
    // The signal is one thread's to take, and the others serve on until it does.
    let begun = Instant::now();
    while !stands(pid)? {
        if begun.elapsed() > STANDS {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
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

/// Whether each thread of the process `pid` is stopped, or has ended.
fn stands(pid: u32) -> io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ends meanwhile has no `stat`, and none that could be read runs.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("stat")) else {
            continue;
        };
        if !matches!(field(&stat, 0), Some("T" | "t" | "Z" | "X")) {
            return Ok(false);
        }
    }
    Ok(true)
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
    field(&stat, 1)?.parse().ok()
}

/// The word at `index` behind the name in a `stat` of `/proc`: first its state, then its parent.
fn field(stat: &str, index: usize) -> Option<&str> {
    // The name before it may have spaces and parentheses of its own.
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn who_is_stopped_runs_no_more() {
        let mut spins = Command::new("yes").stdout(Stdio::null()).spawn();
        let spins = spins.as_mut().expect("coreutils have it");
        let stood: Vec<bool> = (0..200)
            .map(|_| {
                stop(spins.id()).expect("it runs");
                let stood = stands(spins.id()).expect("it is there");
                go_on(spins.id()).expect("it is there");
                stood
            })
            .collect();
        spins.kill().expect("it is ours");
        spins.wait().expect("it is ours");
        assert!(stood.iter().all(|stood| *stood));
    }

    #[test]
    fn who_is_not_there_cannot_be_stopped() {
        let mut ended = Command::new("true").spawn().expect("coreutils have it");
        ended.wait().expect("it is ours");
        assert!(stop(ended.id()).is_err());
    }
}
