//! From a future to the sockets of the tasks that it waits for.
//!
//! A client's connection is a task of its own: who waits for an answer waits at a channel. Both ends of a channel refer to the
//! same thing between them. The runtime's record of a socket keeps the waker of the task that waits for it, a waker is the
//! task's address, and the task's memory refers to its end of the channel.

use super::modules::Modules;
use super::{memory, peer, reach, sockets};
use crate::SocketSeen;
use std::collections::{HashMap, HashSet};

/// tokio's record of a socket is no larger.
const RECORD_BYTES: u64 = 256;
/// Where the allocator does not tell how large a task is, so much of it is read.
const TASK_BYTES: u64 = 2048;
/// More sockets are not looked behind: each costs some 10 µs.
const MOST_SOCKETS: usize = 256;

/// What may be a task, with the socket that it waits for.
struct Waits {
    task: u64,
    socket: SocketSeen,
}

/// The sockets whose tasks refer to one of `words`, but for those of the tasks in `not`. What the first of these refers
/// to as well is the runtime's. Wakers are known by their `vtable`.
pub(super) fn sockets_of(
    modules: &Modules,
    words: &[u64],
    not: &[u64],
    vtable: u64,
) -> Vec<SocketSeen> {
    let own = not.first().map(|own| task(modules, *own, false));
    let common: HashSet<u64> = own.into_iter().flatten().collect();
    let mut sought: Vec<u64> = words.to_vec();
    sought.sort_unstable();
    sought.dedup();
    sought.retain(|word| {
        !common.contains(word) && modules.find(*word).is_none() && is_between_few(*word)
    });
    if sought.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(SocketSeen, Vec<u64>)> = Vec::new();
    for waits in waiting_tasks(vtable) {
        if not.contains(&waits.task) {
            continue;
        }
        let mut shared = task(modules, waits.task, true);
        shared.retain(|word| sought.binary_search(word).is_ok());
        if !shared.is_empty() {
            found.push((waits.socket, shared));
        }
    }
    without_common(found)
}

/// Whether there is something at an address that two or three share, by its counts, as the two ends of a channel do. What
/// many share is the application's: that a task refers to it says nothing.
fn is_between_few(address: u64) -> bool {
    const LOWEST: u64 = 0x1_0000;
    const FEW: std::ops::RangeInclusive<u64> = 1..=3;
    if !address.is_multiple_of(8) || address < LOWEST {
        return false;
    }
    let count = |at: u64| memory::array(at).map(u64::from_ne_bytes);
    let (strong, weak) = (count(address), count(address.saturating_add(8)));
    strong.is_some_and(|n| FEW.contains(&n)) && weak.is_some_and(|n| FEW.contains(&n))
}

/// What tasks of several hosts refer to tells none of them.
fn without_common(found: Vec<(SocketSeen, Vec<u64>)>) -> Vec<SocketSeen> {
    let mut hosts: HashMap<u64, HashSet<String>> = HashMap::new();
    let host = |socket: &SocketSeen| format!("{:?} {:?}", socket.peer.address, socket.peer.port);
    for (socket, shared) in &found {
        for word in shared {
            hosts.entry(*word).or_default().insert(host(socket));
        }
    }
    let tells = |word: &u64| hosts.get(word).is_some_and(|hosts| hosts.len() == 1);
    let telling = found
        .into_iter()
        .filter(|(_, shared)| shared.iter().any(tells));
    telling.map(|(socket, _)| socket).collect()
}

/// The words of a task, and of what it has boxed.
fn task(modules: &Modules, address: u64, boxed: bool) -> Vec<u64> {
    let size = reach::allocated(address).unwrap_or(TASK_BYTES);
    let of = reach::of(modules, address, size);
    let objects = if boxed { of.objects.len() } else { 1 };
    of.objects
        .into_iter()
        .take(objects)
        .flat_map(|object| object.words)
        .collect()
}

/// Every task that waits for a connected socket which this process has not accepted.
fn waiting_tasks(vtable: u64) -> Vec<Waits> {
    let registered = sockets::registered(MOST_SOCKETS);
    let listening: HashSet<u16> = registered
        .iter()
        .filter_map(|(fd, _)| peer::listening_port(*fd))
        .collect();
    let mut found = Vec::new();
    for (socket, record) in registered {
        let is_accepted = peer::own_port(socket).is_some_and(|port| listening.contains(&port));
        let Some(seen) = sockets::seen(socket).filter(|_| !is_accepted) else {
            continue;
        };
        for task in wakers_in(record, vtable) {
            found.push(Waits {
                task,
                socket: seen.clone(),
            });
        }
    }
    found
}

/// Addresses of the tasks whose wakers a record keeps.
fn wakers_in(record: u64, vtable: u64) -> Vec<u64> {
    let Some(bytes) = memory::bytes(record, RECORD_BYTES) else {
        return Vec::new();
    };
    let word = |chunk: &[u8]| chunk.try_into().map(u64::from_ne_bytes).unwrap_or_default();
    let words: Vec<u64> = bytes.chunks_exact(8).map(word).collect();
    let mut tasks: Vec<u64> = words
        .windows(2)
        .filter_map(|pair| match pair {
            [first, data] if *first == vtable => Some(*data),
            [data, second] if *second == vtable => Some(*data),
            _ => None,
        })
        .filter(|task| *task > 0xffff && task.is_multiple_of(8))
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}
