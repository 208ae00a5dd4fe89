//! A server's life: started, asked until it answers, ended by its process id.

use crate::process::{signal, stop, tree};
use rustix::process::Signal;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A JVM on a busy machine is the slowest.
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    /// How it is asked to end.
    end: Signal,
    _directory: TempDir,
}

impl Server {
    /// Starts `program`, whose arguments know `port` already, and waits until it `answers`.
    pub(crate) fn start(
        program: Command,
        port: u16,
        end: Signal,
        directory: TempDir,
        answers: impl Fn(u16) -> bool,
    ) -> io::Result<Self> {
        let log = directory.path().join("log");
        let mut command = mortal(&program);
        command.stdin(Stdio::null()).current_dir(directory.path());
        command.stdout(File::create(&log)?);
        command.stderr(File::options().append(true).open(&log)?);
        let child = command.spawn()?;
        let mut server = Self {
            child,
            port,
            end,
            _directory: directory,
        };
        let begun = Instant::now();
        while !answers(port) {
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START {
                return Err(io::Error::other(format!(
                    "{program:?} does not answer ({ended:?}):\n{}",
                    said(&log)
                )));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(server)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops all its processes: the kernel goes on to accept connections for it, and nobody answers.
    ///
    /// # Errors
    ///
    /// If it runs no more, or a thread of it does not stand within 10 s.
    pub fn stop(&self) -> io::Result<()> {
        let tree = tree(self.child.id());
        tree.into_iter().try_for_each(stop)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// If it runs no more.
    pub fn go_on(&self) -> io::Result<()> {
        let tree = tree(self.child.id());
        tree.into_iter()
            .try_for_each(|pid| signal(pid, Signal::CONT))
    }

    /// Ends its first process at once.
    ///
    /// # Errors
    ///
    /// If it runs no more.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each fails only where it has ended already. Who is stopped does not hear.
        let _ = signal(self.child.id(), self.end);
        let _ = self.go_on();
        let begun = Instant::now();
        while !self.has_ended() && begun.elapsed() < END {
            std::thread::sleep(PAUSE);
        }
        if !self.has_ended() {
            for pid in tree(self.child.id()) {
                let _ = signal(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// The same command, ended by the kernel if this thread ends: a test that is killed drops nothing.
fn mortal(program: &Command) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if program.get_program() != "setpriv" {
        command.arg("--").arg(program.get_program());
    }
    command.args(program.get_args());
    command
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// The end of what it has said.
pub(crate) fn said(log: &Path) -> String {
    const LINES: usize = 20;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
