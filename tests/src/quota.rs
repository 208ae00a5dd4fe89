//! A control group with a CPU quota.

use crate::{PATIENCE, until};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// So much CPU time in each period, for all threads together.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The period in microseconds, a second at most.
    pub each_us: u32,
    /// CPU time in each of them, in microseconds.
    pub of_that_us: u32,
}

/// A control group; goes when its processes have gone.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Quota {
    /// A group that has it; `None` where that is not allowed.
    pub fn group(self) -> Option<Group> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("redhanded-test-{}-{nth}", std::process::id());
        let Self {
            each_us,
            of_that_us,
        } = self;
        let knobs = [
            (
                "/sys/fs/cgroup/cpu",
                vec![
                    ("cpu.cfs_period_us", each_us.to_string()),
                    ("cpu.cfs_quota_us", of_that_us.to_string()),
                ],
            ),
            (
                "/sys/fs/cgroup",
                vec![("cpu.max", format!("{of_that_us} {each_us}"))],
            ),
        ];
        knobs.iter().find_map(|(root, values)| {
            let group = Group(PathBuf::from(root).join(&name));
            std::fs::create_dir(&group.0).ok()?;
            let set = |(knob, value): &(&str, String)| {
                let knob = group.0.join(knob);
                // What is not there is not to be made.
                knob.exists() && std::fs::write(knob, value).is_ok()
            };
            values.iter().all(set).then_some(group)
        })
    }
}

impl Group {
    /// A shell script that enters it and becomes somebody else.
    pub fn script(&self) -> String {
        format!(
            r#"echo $$ > "{}/cgroup.procs"; exec "$@""#,
            self.0.display()
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = until(PATIENCE, || std::fs::remove_dir(&self.0).ok());
    }
}
