//! A control group that may not have more than so much memory.

use crate::{PATIENCE, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group; goes when its processes have gone.
#[derive(Debug)]
pub struct MemoryGroup {
    path: PathBuf,
    /// Where the kernel says how often it killed.
    kills: &'static str,
}

impl MemoryGroup {
    /// One whose processes may have so many bytes together and no swap, by cgroup version 1 or 2; `None` where that is not
    /// allowed.
    pub fn new(bytes: u64) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("redhanded-test-{}-{nth}", std::process::id());
        let versions = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.swappiness",
                "memory.oom_control",
            ),
            (
                "/sys/fs/cgroup/unified",
                "memory.max",
                "memory.swap.max",
                "memory.events",
            ),
            (
                "/sys/fs/cgroup",
                "memory.max",
                "memory.swap.max",
                "memory.events",
            ),
        ];
        versions.into_iter().find_map(|(root, limit, swap, kills)| {
            let path = Path::new(root).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Self { path, kills };
            let limit = group.path.join(limit);
            // What is not there is not to be made.
            let set = limit.exists() && fs::write(&limit, bytes.to_string()).is_ok();
            // A machine without swap has no such knob.
            let _ = fs::write(group.path.join(swap), "0");
            set.then_some(group)
        })
    }

    /// Enters the group and becomes whatever is given as arguments.
    pub fn command(&self) -> Command {
        let script = format!(
            r#"echo $$ > "{}/cgroup.procs"; exec "$@""#,
            self.path.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]);
        command
    }

    /// How often the kernel killed a process of the group for its memory.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join(self.kills)).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills
            .and_then(|kills| kills.trim().parse().ok())
            .unwrap_or_default()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = until(PATIENCE, || fs::remove_dir(&self.path).ok());
    }
}
