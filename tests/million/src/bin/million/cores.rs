//! Which core the shop has, and which are ours.

use crate::Error;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core that this thread keeps off as long as this lives.
pub(crate) struct Left {
    before: CpuSet,
    /// Where there is more than one.
    pub(crate) core: Option<usize>,
}

/// Leaves one core to others.
pub(crate) fn leave_one() -> Result<Left, Error> {
    let before = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu));
    let core = first.filter(|_| before.count() > 1);
    if let Some(core) = core {
        let mut ours = before;
        ours.unset(core);
        sched_setaffinity(None, &ours)?;
    }
    Ok(Left { before, core })
}

impl Drop for Left {
    fn drop(&mut self) {
        // It was allowed a moment ago.
        let _ = sched_setaffinity(None, &self.before);
    }
}
