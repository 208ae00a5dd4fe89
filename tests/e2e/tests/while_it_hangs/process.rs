//! A process that we started and that does not outlive us.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Ended on drop; when that is because of a panic, it says its last words.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    said: PathBuf,
}

impl Process {
    /// Starts it; stdout and stderr go to files in `directory`.
    pub(crate) fn start(name: &'static str, command: &mut Command, directory: &Path) -> Self {
        let said = directory.join(format!("{name}.stderr"));
        let file = |path: &Path| File::create(path).expect("a file in a directory of ours");
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(file(&directory.join(format!("{name}.stdout"))))
            .stderr(file(&said))
            .spawn()
            .unwrap_or_else(|e| panic!("{name} did not start: {e}"));
        Self { name, child, said }
    }

    /// Ends it as the kernel would, without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Stops it, or lets it go on: `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(
            sent.expect("kill starts").success(),
            "{signal} to {}",
            self.name
        );
    }

    /// Whether it has ended by itself, which none of ours should.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = fs::read_to_string(&self.said).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("--- last words of {}:\n{last}\n---", self.name);
        }
    }
}
