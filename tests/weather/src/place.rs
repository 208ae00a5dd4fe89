//! A directory with disks of its own, which nobody else sees.

use crate::{PATIENCE, until};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// How large a disk is; small, for it is to be filled.
const DISK: &str = "16M";

/// A mount namespace with a directory in it. The mounts end with it, however the test ends.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    /// Keeps the namespace until its standard input is closed.
    keeper: Child,
}

impl Place {
    /// A new one; `None`, and a line that says so, where namespaces are not allowed.
    pub fn new() -> Option<Self> {
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .args(["sh", "-c", "echo here; read -r word"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is everywhere");
        let mut here = String::new();
        let said = keeper.stdout.take().expect("piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut here)
            .expect("a pipe can be read");
        if here != "here\n" {
            // Not by a macro, whose output tests keep to themselves.
            let why = b"SKIPPED: needs a mount namespace of its own, which is not allowed here\n";
            let _ = std::io::stderr().write_all(why);
            let _ = keeper.wait();
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory for tests");
        std::fs::create_dir(directory.path().join("disk")).expect("a new directory");
        Some(Self { directory, keeper })
    }

    /// Where disks are mounted.
    pub fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// A program that is to run in here.
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.keeper.id().to_string();
        command.args(["--mount", "--target", &pid, "--"]);
        command
    }

    /// A path of in here, as it is seen from outside.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// Runs a script in the directory of the place; in it, `disk` is where disks are mounted.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn run(&self, script: &str) {
        let mut command = self.command();
        let at = self.directory.path();
        // nsenter comes out at the root.
        let script = format!("cd {}\n{script}", at.display());
        let ended = command.args(["sh", "-ec", &script]).output();
        let ended = ended.expect("sh is everywhere");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{script}: {said}");
    }

    /// Mounts a new disk that is memory.
    pub fn mount_memory(&self) {
        self.run(&format!(
            "mount -t tmpfs -o size={DISK},mode=755 tmpfs disk"
        ));
    }

    /// Makes a disk with a real file system.
    pub fn make_disk(&self) {
        self.run(&format!("truncate -s {DISK} image; mkfs.ext4 -q image"));
    }

    /// Mounts the disk that was made.
    pub fn mount_disk(&self) {
        self.run("mount -o loop image disk");
    }

    /// What would be found on the disk if the power went now: a copy of what its image has, mounted as `after`. What was never
    /// written to the disk is in the kernel's memory, and not there. Whoever writes to it must be stopped meanwhile.
    pub fn cut_power(&self) -> PathBuf {
        self.run("mkdir after; cp --sparse=always image copy; mount -o loop copy after");
        self.directory.path().join("after")
    }

    /// Takes it away, whoever has files open on it.
    pub fn unmount(&self) {
        self.run("umount --lazy disk");
    }

    /// Waits until nobody has a file open any more on a disk that was taken away.
    ///
    /// # Panics
    ///
    /// When somebody keeps one.
    #[track_caller]
    pub fn is_let_go(&self) {
        let free = until(PATIENCE, || {
            let image = self.directory.path().join("image");
            let used_by = Command::new("losetup").arg("-j").arg(image).output();
            used_by
                .is_ok_and(|said| said.stdout.is_empty())
                .then_some(())
        });
        assert_eq!(free, Some(()), "files are open on a disk that is gone");
    }

    /// Everything that wants to write to the disk waits, and cannot be killed, until what this returns is
    /// dropped.
    #[must_use]
    pub fn freeze(&self) -> Frozen<'_> {
        self.run("fsfreeze --freeze disk");
        Frozen(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The end of its input.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A disk that does not answer.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Place);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.run("fsfreeze --unfreeze disk");
    }
}
