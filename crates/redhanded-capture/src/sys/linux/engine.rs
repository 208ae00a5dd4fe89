//! The tools in the order in which they touch: look, read, signal.

use super::modules::Modules;
use super::signal::{self, STACK_BYTES};
use super::snapshot;
use super::task::Task;
use super::walk::{Rules, StackCopy, Walker, two_registers};
use super::{link, reach};
use crate::arch::Registers;
use crate::{Abilities, Activity, NoStack, RawFrame, RawStack, Reach, Sample, SocketSeen};
use gimli::UnwindContext;
use std::io;
use std::time::{Duration, Instant};

/// How often a thread may slip from running to blocked, or back, under our hands before we give up.
const TRIES: u32 = 16;

pub(crate) struct Engine {
    modules: Modules,
    context: Box<UnwindContext<usize>>,
    buffer: Box<[u8; STACK_BYTES]>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        // A refusal is kept there and told by `abilities` and by each capture.
        let _ = signal::install();
        let mut modules = Modules::default();
        modules.refresh();
        Self {
            modules,
            context: Box::new(UnwindContext::new()),
            buffer: Box::new([0; STACK_BYTES]),
        }
    }

    pub(crate) fn abilities(&self) -> Abilities {
        let me = Task::current();
        Abilities {
            running_threads: can_sample_running(&me),
            blocked_threads: can_sample_blocked(&me),
            waiting_futures: Ok(()),
            peers: can_read_memory(),
        }
    }

    pub(crate) fn activity(&mut self, task: &Task) -> Activity {
        task.activity()
    }

    /// Blocked: read it. Running: ask it. Slipped from one to the other meanwhile: look again.
    pub(crate) fn sample(&mut self, task: &Task, deadline: Duration) -> Result<Sample, NoStack> {
        let until = Instant::now() + deadline;
        for _ in 0..TRIES {
            match state_of(task)? {
                'R' => return self.sample_running(task, until),
                _ => match snapshot::take(task, &mut self.buffer) {
                    Ok(Some(snapshot)) => return Ok(self.sample_of(&snapshot)),
                    Ok(None) => {}
                    Err(_) if !task.is_alive() => return Err(NoStack::Gone),
                    Err(reason) => return Err(reason),
                },
            }
        }
        Err(NoStack::Moved)
    }

    fn sample_running(&mut self, task: &Task, until: Instant) -> Result<Sample, NoStack> {
        signal::install().map_err(NoStack::Unsupported)?;
        if task.stack.is_empty() {
            return Err(NoStack::OutOfBounds);
        }
        let copied = signal::capture(task, until, &mut self.buffer)?;
        let stack = self.walk(
            copied.registers.map(Some),
            copied.base as u64,
            copied.length,
        );
        Ok(Sample {
            on_cpu: true,
            syscall: None,
            stack,
            near: Vec::new(),
        })
    }

    fn sample_of(&mut self, snapshot: &snapshot::Snapshot) -> Sample {
        let near = snapshot.near(&self.buffer[..]);
        let stack = self.walk(
            two_registers(snapshot.sp, snapshot.pc),
            snapshot.base,
            snapshot.length,
        );
        Sample {
            on_cpu: false,
            syscall: snapshot.syscall,
            stack,
            near,
        }
    }

    /// Walks with the modules we know; if that gets stuck, or a library is no longer what we read, with the present ones.
    fn walk(&mut self, registers: Registers, base: u64, length: usize) -> RawStack {
        let stack = StackCopy {
            base,
            bytes: &self.buffer[..length],
        };
        let first = Walker::new(&self.modules, &mut self.context, stack, registers).walk();
        if (first.complete && is_current(&self.modules, &first)) || !self.modules.refresh() {
            return first;
        }
        Walker::new(&self.modules, &mut self.context, stack, registers).walk()
    }

    pub(crate) fn locate(&mut self, ips: &[usize]) -> RawStack {
        let frames = self.locate_all(ips);
        let all_known = frames.iter().all(|frame| frame.module.is_some());
        let stack = RawStack {
            frames,
            complete: true,
        };
        if (all_known && is_current(&self.modules, &stack)) || !self.modules.refresh() {
            return stack;
        }
        RawStack {
            frames: self.locate_all(ips),
            complete: true,
        }
    }

    pub(crate) fn reach(&mut self, address: usize, size: usize) -> Reach {
        reach::of(&self.modules, address as u64, size as u64)
    }

    pub(crate) fn sockets_of_tasks(
        &mut self,
        words: &[u64],
        not: &[u64],
        vtable: u64,
    ) -> Vec<SocketSeen> {
        link::sockets_of(&self.modules, words, not, vtable)
    }

    fn locate_all(&self, ips: &[usize]) -> Vec<RawFrame> {
        let locate = |&ip: &usize| {
            let address = (ip as u64).wrapping_sub(1);
            let loaded = self.modules.find(address);
            let rules = loaded.and_then(|loaded| Rules::find(loaded, address));
            let function = rules.map(|rules| rules.function());
            RawFrame {
                address,
                function,
                module: loaded.map(|loaded| loaded.module.clone()),
                sp: None,
            }
        };
        ips.iter().map(locate).collect()
    }
}

/// Whether every module in the stack is still the one whose tables were used; each is looked at once.
fn is_current(modules: &Modules, stack: &RawStack) -> bool {
    let mut seen: Vec<u64> = Vec::new();
    stack.frames.iter().all(|frame| match &frame.module {
        Some(module) if seen.contains(&module.bias) => true,
        Some(module) => {
            seen.push(module.bias);
            modules.is_current(frame.address)
        }
        None => true,
    })
}

fn state_of(task: &Task) -> Result<char, NoStack> {
    match task.state() {
        Ok('X' | 'Z') => Err(NoStack::Gone),
        Ok(state) => Ok(state),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NoStack::Gone),
        Err(_) if !task.is_alive() => Err(NoStack::Gone),
        Err(_) => Err(NoStack::Unsupported(
            "the thread's files in /proc are not open".to_owned(),
        )),
    }
}

fn can_sample_running(me: &Task) -> Result<(), String> {
    signal::install()?;
    me.state()
        .map_err(|_| "/proc/self/task cannot be read".to_owned())?;
    if signal::is_installed() {
        Ok(())
    } else {
        Err(NoStack::SignalTaken.to_string())
    }
}

fn can_sample_blocked(me: &Task) -> Result<(), String> {
    me.state()
        .map_err(|_| "/proc/self/task cannot be read".to_owned())?;
    me.place()
        .ok_or("/proc/self/task/TID/syscall cannot be read")?;
    me.schedule()
        .filter(|schedule| schedule.timeslices > 0)
        .ok_or("the kernel does not count timeslices (no schedstat)")?;
    can_read_memory()
}

fn can_read_memory() -> Result<(), String> {
    let word = 1u64;
    let read = super::memory::array(&raw const word as u64).map(u64::from_ne_bytes);
    if read == Some(word) {
        Ok(())
    } else {
        Err("this process may not read its own memory by system call".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_proc_a_thread_is_never_signalled_and_never_judged() {
        let task = Task::current().without_files();
        let mut engine = Engine::new();
        assert!(task.is_alive(), "asked by signal 0 instead");
        assert_eq!(engine.activity(&task), Activity::default());
        let result = engine.sample(&task, Duration::from_millis(10));
        assert!(matches!(result, Err(NoStack::Unsupported(_))), "{result:?}");
    }

    #[test]
    fn here_everything_is_possible() {
        let abilities = Engine::new().abilities();
        assert_eq!(
            (
                abilities.running_threads,
                abilities.blocked_threads,
                abilities.peers
            ),
            (Ok(()), Ok(()), Ok(()))
        );
    }

    #[test]
    fn addresses_are_located_in_their_functions() {
        let function = addresses_are_located_in_their_functions as fn() as usize;
        let stack = Engine::new().locate(&[function + 2, 1]);
        assert_eq!(stack.frames[0].function, Some(function as u64));
        assert!(
            stack.frames[0]
                .module
                .as_ref()
                .is_some_and(|module| module.is_main)
        );
        assert_eq!(
            (&stack.frames[1].module, stack.frames[1].function),
            (&None, None)
        );
    }
}
