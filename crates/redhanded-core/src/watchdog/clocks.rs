//! What the kernel counts while this thread sleeps: time that it was kept from running, and why.
//!
//! Files stay open and are read anew at every round; what is not there says nothing. Only the
//! control group that the process was in at the start is looked at, and none above it.

use crate::verdict::{Pause, Quota, Tracer};
use redhanded_capture::suspended_ns;
use std::collections::VecDeque;
use std::fs::{File, read_to_string};

/// Time between two looks at the quota: the kernel has to sum it up over all CPUs.
const QUOTA_EVERY_NS: u64 = 100_000_000;
/// Readings of the quota that are remembered; when it is full, every second one goes.
const REMEMBERED: usize = 256;
/// Longer than any file that is read here, but for lines of no interest.
const BYTES: usize = 2048;

/// Counters of the kernel, and what they were when the watchdog last went to sleep.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    schedstat: Option<File>,
    cpu_stat: Option<File>,
    suspended_ns: Option<u64>,
    run_queue_wait_ns: Option<u64>,
    /// The period of the quota, where there is one.
    period_ns: Option<u64>,
    /// When the quota was looked at, and what it had done by then; oldest first.
    quota: VecDeque<(u64, Throttled)>,
}

/// What a CPU quota has done since the control group was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Throttled {
    periods: u64,
    ns: u64,
}

impl Clocks {
    /// Opens what there is; to be called on the thread that sleeps.
    pub(super) fn open() -> Self {
        let cgroups = read_to_string("/proc/self/cgroup").unwrap_or_default();
        let with_quota = |path: &String| {
            let file = File::open(path).ok()?;
            throttled_in(&read(&file)?)?;
            Some((file, period_beside(path)))
        };
        let found = cpu_stats_of(&cgroups).iter().find_map(with_quota);
        let (cpu_stat, period_ns) = found.unzip();
        Self {
            schedstat: File::open("/proc/thread-self/schedstat").ok(),
            cpu_stat,
            period_ns: period_ns.flatten(),
            ..Self::default()
        }
    }

    /// A round begins, or the watchdog has slept for as long as it should.
    pub(super) fn note(&mut self, now_ns: u64) {
        self.suspended_ns = suspended_ns().or(self.suspended_ns);
        self.run_queue_wait_ns = self.waited();
        let last_ns = self.quota.back().map(|(at_ns, _)| *at_ns);
        if last_ns.is_some_and(|last_ns| now_ns.saturating_sub(last_ns) < QUOTA_EVERY_NS) {
            return;
        }
        if let Some(throttled) = self.throttled() {
            self.remember(now_ns, throttled);
        }
    }

    fn remember(&mut self, now_ns: u64, throttled: Throttled) {
        if self.quota.len() == REMEMBERED {
            let mut keep = false;
            self.quota.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.quota.push_back((now_ns, throttled));
    }

    /// For how long the machine was suspended since the last [`note`](Self::note).
    pub(super) fn suspended(&self) -> u64 {
        let grown = |now: u64| Some(now.saturating_sub(self.suspended_ns?));
        suspended_ns().and_then(grown).unwrap_or(0)
    }

    /// What the kernel has counted while the watchdog overslept, or the machine was suspended.
    pub(super) fn pause(&self, overslept_ns: u64, suspended_ns: u64) -> Pause {
        let waited_ns = || Some(self.waited()?.saturating_sub(self.run_queue_wait_ns?));
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        let quota = || {
            let (now, before) = (self.throttled()?, self.quota.back()?.1);
            Some(Quota {
                throttled_ms: ms(now.ns.saturating_sub(before.ns)),
                periods: now.periods.saturating_sub(before.periods),
                cpus: cpus_in(&status),
            })
        };
        Pause {
            overslept_ms: ms(overslept_ns),
            suspended_ms: ms(suspended_ns),
            run_queue_wait_ms: waited_ns().map(ms),
            quota: quota(),
            tracer: tracer_in(&status).map(|pid| Tracer {
                pid,
                name: name_of(pid),
            }),
        }
    }

    /// For how long the quota has throttled the process since `since_ns`, summed over its CPUs;
    /// as far back as is remembered, which is coarse for times long ago.
    pub(super) fn throttled_since(&self, since_ns: u64) -> Option<u64> {
        let (_, last) = self.quota.back()?;
        let before = self.quota.iter().rfind(|(at_ns, _)| *at_ns <= since_ns);
        let (_, first) = before.or(self.quota.front())?;
        Some(last.ns.saturating_sub(first.ns))
    }

    /// For how long it may have kept one thread from running since `since_ns`, at most: the kernel counts a CPU that
    /// is throttled when that is over, at the end of the period.
    pub(super) fn may_be_throttled_since(&self, since_ns: u64) -> Option<u64> {
        let over_ns = self.throttled_since(since_ns)?;
        Some(over_ns.saturating_add(self.period_ns.unwrap_or(0)))
    }

    fn waited(&self) -> Option<u64> {
        run_queue_wait_in(&read(self.schedstat.as_ref()?)?)
    }

    fn throttled(&self) -> Option<Throttled> {
        throttled_in(&read(self.cpu_stat.as_ref()?)?)
    }
}

/// The beginning of a file of the kernel, from its first byte on.
#[cfg(unix)]
fn read(file: &File) -> Option<String> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; BYTES];
    let length = file.read_at(&mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(bytes.get(..length)?).into_owned())
}

/// The kernel has no such files here.
#[cfg(not(unix))]
fn read(_file: &File) -> Option<String> {
    None
}

/// Where the counters of this process's CPU quota may be, by `/proc/self/cgroup`: version 2, then
/// version 1; last what a container sees that does not know its place in the host.
fn cpu_stats_of(cgroups: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let root = match controllers {
            "" => "/sys/fs/cgroup".to_owned(),
            v1 if v1.split(',').any(|c| c == "cpu") => format!("/sys/fs/cgroup/{v1}"),
            _ => continue,
        };
        let path = path.trim_end_matches('/');
        // Outside of what this process may see.
        if !path.contains("..") {
            paths.push(format!("{root}{path}/cpu.stat"));
        }
        paths.push(format!("{root}/cpu.stat"));
    }
    paths
}

/// From `/proc/thread-self/schedstat`: time on a CPU, time without one, time slices. A kernel that
/// does not count says zero for all.
fn run_queue_wait_in(schedstat: &str) -> Option<u64> {
    let mut fields = schedstat.split_whitespace().map(str::parse);
    let (ran_ns, waited_ns): (u64, u64) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (ran_ns > 0).then_some(waited_ns)
}

/// From `cpu.stat` of either version; `None` where nothing is throttled, as in the root.
fn throttled_in(cpu_stat: &str) -> Option<Throttled> {
    let value = |key: &str| -> Option<u64> {
        let mut lines = cpu_stat.lines();
        lines.find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let micros = value("throttled_usec").map(|us| us.saturating_mul(1_000));
    Some(Throttled {
        periods: value("nr_throttled")?,
        ns: micros.or_else(|| value("throttled_time"))?,
    })
}

/// The period of the quota whose counters are in the file at `cpu_stat`, of either version of control groups.
fn period_beside(cpu_stat: &str) -> Option<u64> {
    let folder = cpu_stat.strip_suffix("cpu.stat")?;
    let file = |name: &str| read_to_string(format!("{folder}{name}")).ok();
    let v1 = || {
        let (quota, period) = (file("cpu.cfs_quota_us")?, file("cpu.cfs_period_us")?);
        Some(format!("{} {period}", quota.trim_end()))
    };
    period_in(&file("cpu.max").or_else(v1)?)
}

/// From a quota and its period in microseconds, in nanoseconds; `None` where there is no limit, which is `max` or
/// -1.
fn period_in(cpu_max: &str) -> Option<u64> {
    let mut fields = cpu_max.split_whitespace();
    let _quota: u64 = fields.next()?.parse().ok()?;
    let period_us: u64 = fields.next()?.parse().ok()?;
    Some(period_us.saturating_mul(1_000))
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|l| Some(l.strip_prefix(key)?.strip_prefix(':')?.trim()))
}

fn tracer_in(status: &str) -> Option<u32> {
    let pid = field(status, "TracerPid")?.parse().ok();
    pid.filter(|pid| *pid != 0)
}

/// Bits of the mask; zero if there is none.
fn cpus_in(status: &str) -> u32 {
    let mask = field(status, "Cpus_allowed").unwrap_or_default();
    mask.chars()
        .filter_map(|c| c.to_digit(16))
        .map(u32::count_ones)
        .sum()
}

/// What a process calls itself, as far as it is fit to print.
fn name_of(pid: u32) -> Option<String> {
    let name = read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let name: String = name.trim_end().to_owned();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    plain.then_some(name)
}

fn ms(ns: u64) -> f64 {
    super::standing::ms(ns)
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    const MS: u64 = 1_000_000;

    #[test]
    fn counters_of_both_versions() {
        let v2 = "usage_usec 98061\nuser_usec 58\nsystem_usec 3\nnr_periods 12\nnr_throttled 7\nthrottled_usec 1790123\nnr_bursts 0\nburst_usec 0\n";
        let v1 =
            "nr_periods 12\nnr_throttled 7\nthrottled_time 1790123000\nnr_bursts 0\nburst_time 0\n";
        let wanted = Some(Throttled {
            periods: 7,
            ns: 1_790_123_000,
        });
        assert_eq!(throttled_in(v2), wanted);
        assert_eq!(throttled_in(v1), wanted);
        let root = "usage_usec 98061\nuser_usec 58\nsystem_usec 3\n";
        assert_eq!([throttled_in(root), throttled_in("")], [None; 2]);
    }

    #[test]
    fn the_period_of_both_versions() {
        assert_eq!(period_in("200000 1000000\n"), Some(1_000 * MS));
        assert_eq!(period_in("50000 100000\n"), Some(100 * MS));
        assert_eq!(
            ["max 100000\n", "-1 100000\n", ""].map(period_in),
            [None; 3],
            "no limit"
        );
        assert_eq!(period_beside("/nowhere/cpu.stat"), None);
    }

    #[test]
    fn throttling_that_goes_on_is_not_counted_yet() {
        let mut clocks = Clocks::default();
        for at in [1_u64, 2] {
            let throttled = Throttled {
                periods: at,
                ns: at * 30 * MS,
            };
            clocks.remember(at * 1_000 * MS, throttled);
        }
        assert_eq!(clocks.may_be_throttled_since(1_000 * MS), Some(30 * MS));
        clocks.period_ns = Some(100 * MS);
        assert_eq!(clocks.may_be_throttled_since(1_000 * MS), Some(130 * MS));
    }

    #[test]
    fn where_the_quota_is() {
        assert_eq!(
            cpu_stats_of("0::/system.slice/shop.service\n"),
            [
                "/sys/fs/cgroup/system.slice/shop.service/cpu.stat",
                "/sys/fs/cgroup/cpu.stat"
            ]
        );
        assert_eq!(
            cpu_stats_of("0::/../other\n"),
            ["/sys/fs/cgroup/cpu.stat"],
            "outside of the container"
        );
        assert_eq!(
            cpu_stats_of("5:cpuset:/a\n4:cpu,cpuacct:/docker/4f\n1:cpuacct:/x\n"),
            [
                "/sys/fs/cgroup/cpu,cpuacct/docker/4f/cpu.stat",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.stat"
            ]
        );
        assert!(cpu_stats_of("nonsense\n\n:\n").is_empty());
    }

    #[test]
    fn the_wait_for_a_cpu() {
        assert_eq!(
            run_queue_wait_in("284756763 28225717 24\n"),
            Some(28_225_717)
        );
        assert_eq!(
            run_queue_wait_in("0 0 0\n"),
            None,
            "this kernel does not count"
        );
        assert_eq!(run_queue_wait_in("many"), None);
    }

    #[test]
    fn who_traces_and_how_many_cpus() {
        let status = "Name:\tstall\nTracerPid:\t4711\nCpus_allowed:\tff,00000003\nCpus_allowed_list:\t0-1,32-39\n";
        assert_eq!((tracer_in(status), cpus_in(status)), (Some(4711), 10));
        assert_eq!(tracer_in("TracerPid:\t0\n"), None);
        assert_eq!(cpus_in(""), 0);
    }

    #[test]
    fn throttling_is_remembered_finely_of_late_and_coarsely_of_old() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.throttled_since(0), None);
        for round in 1..=10_000_u64 {
            let throttled = Throttled {
                periods: round,
                ns: round * MS,
            };
            clocks.remember(round * 100 * MS, throttled);
        }
        assert!(clocks.quota.len() <= REMEMBERED);
        assert_eq!(clocks.throttled_since(999_500 * MS), Some(5 * MS));
        assert_eq!(
            clocks.throttled_since(0),
            Some(9_999 * MS),
            "from the first reading on"
        );
        assert_eq!(clocks.throttled_since(u64::MAX), Some(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_counts_and_was_not_suspended() {
        let mut clocks = Clocks::open();
        // A thread that has only just begun has used no CPU time yet, as far as the kernel knows.
        let begun = std::time::Instant::now();
        while clocks.waited().is_none() && begun.elapsed().as_secs() < 1 {
            std::hint::spin_loop();
        }
        clocks.note(MS);
        assert!(clocks.suspended() < 1_000 * MS);
        let pause = clocks.pause(0, 0);
        assert!(
            pause.run_queue_wait_ms.is_some() == clocks.waited().is_some(),
            "{pause:?}"
        );
        assert_eq!(pause.tracer, None, "nobody debugs the tests");
    }
}
