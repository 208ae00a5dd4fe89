//! The twin of `linux` for platforms where threads cannot be looked at. Waiting futures still can.

use crate::{
    Abilities, AcceptQueue, Activity, Module, NoStack, RawFrame, RawStack, Reach, Sample, SleepsOn,
    SocketSeen, Syscall,
};
use redhanded_report::{Frame, Peer, WaitingFor};
use std::path::PathBuf;
use std::time::Duration;

const REASON: &str = "stacks of threads can be taken on Linux x86_64 only";

#[derive(Debug)]
pub(crate) struct Task {
    thread: std::thread::Thread,
}

impl Task {
    pub(crate) fn current() -> Self {
        Self {
            thread: std::thread::current(),
        }
    }

    pub(crate) fn tid(&self) -> u32 {
        0
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.thread.name().map(str::to_owned)
    }

    /// Unknown here; to say that it has ended would be the worse mistake.
    pub(crate) fn is_alive(&self) -> bool {
        true
    }

    pub(crate) fn wait_channel(&self) -> Option<String> {
        None
    }
}

pub(crate) struct Engine;

impl Engine {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn abilities(&self) -> Abilities {
        Abilities {
            running_threads: Err(REASON.to_owned()),
            blocked_threads: Err(REASON.to_owned()),
            waiting_futures: Ok(()),
            peers: Err(REASON.to_owned()),
        }
    }

    pub(crate) fn activity(&mut self, _task: &Task) -> Activity {
        Activity::default()
    }

    pub(crate) fn sample(&mut self, _task: &Task, _deadline: Duration) -> Result<Sample, NoStack> {
        Err(NoStack::Unsupported(REASON.to_owned()))
    }

    pub(crate) fn reach(&mut self, _address: usize, _size: usize) -> Reach {
        Reach::default()
    }

    pub(crate) fn sockets_of_tasks(
        &mut self,
        _words: &[u64],
        _not: &[u64],
        _vtable: u64,
    ) -> Vec<SocketSeen> {
        Vec::new()
    }

    pub(crate) fn locate(&mut self, ips: &[usize]) -> RawStack {
        let frame = |&ip: &usize| RawFrame {
            address: (ip as u64).wrapping_sub(1),
            ..RawFrame::default()
        };
        RawStack {
            frames: ips.iter().map(frame).collect(),
            complete: true,
        }
    }
}

pub(crate) fn syscall_name(_number: i64) -> Option<&'static str> {
    None
}

pub(crate) fn waits_for(_syscall: &Syscall) -> Option<WaitingFor> {
    None
}

pub(crate) fn sleeps_on(_syscall: &Syscall) -> SleepsOn {
    SleepsOn::Other
}

pub(crate) fn any_waits_for_a_peer() -> bool {
    false
}

pub(crate) fn peer_of(_syscall: &Syscall) -> Option<Peer> {
    None
}

/// Nothing is cleared here, and so nothing is found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cleared(());

impl Cleared {
    pub(crate) fn below_here() -> Self {
        Self(())
    }

    pub(crate) fn words(&self, _up_to: usize, _each: impl FnMut(u64)) {}
}

pub(crate) fn sockets_behind(_words: &[u64]) -> Vec<SocketSeen> {
    Vec::new()
}

pub(crate) fn sockets_to(_remotes: &[std::net::SocketAddr]) -> Vec<crate::ConnectionSeen> {
    Vec::new()
}

pub(crate) fn accept_queue(_socket: i32) -> Option<AcceptQueue> {
    None
}

pub(crate) fn file_of(module: &Module) -> PathBuf {
    module.path.clone()
}

/// There are no modules here, so the `backtrace` crate names the address; it knows more platforms than we do.
pub(crate) fn name_without_module(address: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(address as usize as *mut std::ffi::c_void, |symbol| {
        let mut frame = Frame::default();
        frame.function = symbol.name().map(|name| format!("{name:#}"));
        frame.file = symbol
            .filename()
            .map(|path| path.to_string_lossy().into_owned());
        frame.line = symbol.lineno();
        frame.column = symbol.colno();
        frames.push(frame);
    });
    frames
}
