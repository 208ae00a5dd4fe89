//! A machine that has more to do than it can.

use std::process::{Child, Command, Stdio};

/// Processes that burn CPU until this is dropped: four for every core.
#[derive(Debug)]
pub struct Load(Vec<Child>);

impl Load {
    /// Overloads the machine.
    pub fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let burn = |_| {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null());
            shell.spawn().expect("a shell")
        };
        Self((0..4 * cores).map(burn).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
