//! A process that is told what to do by lines on its input and says what it does by lines on its output.

use crate::{PATIENCE, sibling, until};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// What is remembered of what a process says.
pub(crate) trait Hear: Clone + Default + Send + 'static {
    /// It has said a line. The last one may be cut, by a kill.
    fn hear(&mut self, line: String);
}

/// A running process; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Talk<H> {
    child: Child,
    commands: Option<ChildStdin>,
    heard: Arc<Mutex<H>>,
    reader: Option<JoinHandle<()>>,
}

impl<H: Hear> Talk<H> {
    /// Starts the program `name`, which is built beside this one, by `command`, such as `nsenter …`, whose arguments it becomes;
    /// `complete` adds its own.
    pub(crate) fn start(
        mut command: Command,
        name: &str,
        complete: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let command = complete(command.arg(sibling(name)));
        let mut child = command
            .env("REDHANDED_LOG", "warn")
            .env_remove("REDHANDED_SLOW_LOG")
            .env_remove("REDHANDED_SLOW_AFTER")
            .env_remove("REDHANDED_FLIGHT_RECORDER")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is built");
        let heard: Arc<Mutex<H>> = Arc::default();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let hearing = heard.clone();
        let reader = std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                hearing.lock().expect("no panic").hear(line);
            }
        });
        Self {
            commands: child.stdin.take(),
            child,
            heard,
            reader: Some(reader),
        }
    }

    /// What it said so far.
    pub(crate) fn heard(&self) -> MutexGuard<'_, H> {
        self.heard.lock().expect("no panic")
    }

    /// Its process id, if `command` has become it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command.
    pub(crate) fn say(&mut self, command: &str) {
        let stdin = self.commands.as_mut().expect("it is not dropped");
        writeln!(stdin, "{command}").expect("it listens");
    }

    /// Waits until it has died, by itself; how.
    #[track_caller]
    pub(crate) fn death(mut self) -> (ExitStatus, H) {
        let status = until(PATIENCE, || self.child.try_wait().ok().flatten());
        let status = status.expect("it dies");
        self.end();
        (status, self.heard().clone())
    }

    /// Kills it as `kill -9` does; what it had said.
    pub(crate) fn kill(mut self) -> H {
        self.end();
        self.heard().clone()
    }
}

impl<H> Talk<H> {
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl<H> Drop for Talk<H> {
    fn drop(&mut self) {
        self.end();
    }
}
