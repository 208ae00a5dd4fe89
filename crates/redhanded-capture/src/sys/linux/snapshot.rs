//! The stack of a blocked thread, read as memory while the kernel's own counters prove that it did not run.

use super::memory;
use super::own_stack::POINTERS;
use super::signal::STACK_BYTES;
use super::task::{Place, Task};
use crate::{NoStack, Syscall, arch};

/// A blocked thread's place and stack; its stack lies in the caller's buffer.
pub(super) struct Snapshot {
    pub(super) syscall: Option<Syscall>,
    pub(super) sp: u64,
    pub(super) pc: u64,
    /// Address of the first copied byte.
    pub(super) base: u64,
    /// How many bytes were copied.
    pub(super) length: usize,
}

/// Of how much of the stack the words are that a thread has at hand: what it waits for is in the innermost frames.
const NEAR_BYTES: usize = 4096;

impl Snapshot {
    /// What may be pointers among its call's arguments and the words of its innermost frames, in `copied`; each once.
    pub(super) fn near(&self, copied: &[u8]) -> Vec<u64> {
        let from = self.sp.saturating_sub(self.base) as usize;
        let until = self.length.min(from.saturating_add(NEAR_BYTES));
        let frames = copied.get(from..until).unwrap_or_default().chunks_exact(8);
        let frames = frames.filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes));
        let args = self.syscall.map(|syscall| syscall.args).unwrap_or_default();
        let mut words: Vec<u64> = args.into_iter().chain(frames).collect();
        words.retain(|word| POINTERS.contains(word));
        words.sort_unstable();
        words.dedup();
        words
    }
}

/// Reads a blocked thread's stack; `Ok(None)` if it ran meanwhile.
///
/// The scheduler counts how often it put a thread on a CPU. Blocked in the same place with the same count before and after
/// the read: it never ran in between, so nobody wrote its stack.
pub(super) fn take(task: &Task, into: &mut [u8; STACK_BYTES]) -> Result<Option<Snapshot>, NoStack> {
    let before = task
        .schedule()
        .filter(|schedule| schedule.timeslices > 0)
        .ok_or_else(no_counts)?;
    let place = task.place().ok_or_else(no_place)?;
    let Place::Blocked { syscall, sp, pc } = place else {
        return Ok(None);
    };
    if !task.stack.contains(&(sp as usize)) {
        return if still(task, place, before.timeslices) {
            Err(NoStack::OutOfBounds)
        } else {
            Ok(None)
        };
    }
    let base = arch::live_from(sp as usize).max(task.stack.start);
    let length = (task.stack.end - base).min(STACK_BYTES);
    let read = memory::read(base as u64, &mut into[..length]);
    if !still(task, place, before.timeslices) {
        return Ok(None);
    }
    if read {
        Ok(Some(Snapshot {
            syscall,
            sp,
            pc,
            base: base as u64,
            length,
        }))
    } else {
        Err(NoStack::Unreadable)
    }
}

fn still(task: &Task, place: Place, timeslices: u64) -> bool {
    task.place() == Some(place)
        && task
            .schedule()
            .is_some_and(|schedule| schedule.timeslices == timeslices)
}

fn no_counts() -> NoStack {
    NoStack::Unsupported("the kernel does not count timeslices (no schedstat)".to_owned())
}

fn no_place() -> NoStack {
    NoStack::Unsupported("/proc/self/task/TID/syscall cannot be read".to_owned())
}
