//! Where a case is played: its process, its clients, and what was reported.

use crate::play::{CLOCK, Part, Play, Sent};
use crate::{Case, Hang, score};
use redhanded::report::Report;
use redhanded_tests::{Group, Quota, Stall, Start, until};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Under which circumstances a case is played.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary `factory`.
    pub program: PathBuf,
    /// Workers, where the case does not say.
    pub workers: usize,
    /// The machine has more to do than it can: somebody holds a [`Load`](crate::load::Load).
    pub overloaded: bool,
    /// The threshold, where the case does not say.
    pub slow_after: Duration,
}

impl Setup {
    /// The binary `factory` beside this one, two workers, an idle machine, half a second.
    pub fn here() -> Self {
        Self {
            program: beside("factory"),
            workers: 2,
            overloaded: false,
            slow_after: Duration::from_millis(500),
        }
    }
}

/// A binary of the same build as the running one.
pub fn beside(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    let folders = me.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// What was seen of a case that was played.
#[derive(Debug)]
pub struct Seen {
    /// Every record of its slow-request log.
    pub records: Vec<Report>,
    /// What was asked, and what is true of each.
    pub asked: Vec<(Part, String)>,
    /// The host that does not answer, where there is one.
    pub peer: Option<SocketAddr>,
}

/// Plays a case with somebody watching, until all is reported or patience ends, and a while longer:
/// who is accused late is accused all the same.
pub fn run(case: &Case, setup: &Setup) -> Seen {
    let staged = start(case, setup, false);
    let stall = &staged.stall;
    let slow_after = case.needs.slow_after.unwrap_or(setup.slow_after);
    let mut play = Play::new(stall, slow_after, workers(case, setup));
    (case.play)(&mut play);
    let sent = play.into_sent();
    let seen = || seen(case, stall, &sent);
    if case.is_control() {
        std::thread::sleep(case.needs.watched_for.unwrap_or(4 * slow_after));
    } else {
        let patience = if setup.overloaded { 20 } else { 8 };
        let settled = || score::judge(case, &seen()).is_settled().then_some(());
        until(Duration::from_secs(patience), settled);
        std::thread::sleep(slow_after);
    }
    seen()
}

/// Whether the culprits of a case keep their clients waiting while nobody watches.
pub fn hangs_without(case: &Case, setup: &Setup) -> Result<(), String> {
    if case.truth.hang == Hang::Never {
        return Ok(());
    }
    let staged = start(case, setup, true);
    let stall = &staged.stall;
    let slow_after = case.needs.slow_after.unwrap_or(setup.slow_after);
    let mut play = Play::new(stall, slow_after, workers(case, setup));
    (case.play)(&mut play);
    let patience = match case.truth.hang {
        Hang::Late => slow_after,
        _ => 3 * slow_after,
    };
    let left = (play.begun() + patience).saturating_duration_since(Instant::now());
    let mut sent = play.into_sent();
    let wrong = match case.truth.hang {
        Hang::Never => None,
        Hang::Late | Hang::ForEver => answered(&mut sent, left),
        Hang::Untold(key) => until(left, || stall.has_told(key).then(|| format!("told {key}"))),
        Hang::Growing => does_not_grow(stall, left),
    };
    wrong.map_or(Ok(()), |wrong| {
        Err(format!("{}: {wrong} without us", case.code))
    })
}

/// In words, if a request that is to hang is answered in time, or all of those that hold each other up.
fn answered(sent: &mut [Sent], left: Duration) -> Option<String> {
    let end = Instant::now() + left;
    let least = Duration::from_millis(1);
    let mut answered = |either: bool| -> Vec<(String, bool)> {
        let wanted =
            |sent: &&mut Sent| sent.part.is_caught() && (sent.part == Part::Either) == either;
        let of = sent.iter_mut().filter(wanted);
        of.map(|sent| {
            let left = end.saturating_duration_since(Instant::now());
            (sent.target.clone(), sent.is_answered(left.max(least)))
        })
        .collect()
    };
    let (each, either) = (answered(false), answered(true));
    if let Some((target, _)) = each.iter().find(|(_, answered)| *answered) {
        return Some(format!("{target} is answered"));
    }
    let all = !either.is_empty() && either.iter().all(|(_, answered)| *answered);
    all.then(|| "all are answered".to_owned())
}

/// In words, if the process's memory stays what it is.
fn does_not_grow(stall: &Stall, left: Duration) -> Option<String> {
    const GROWTH_KB: u64 = 8 << 10;
    let resident_kb = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", stall.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kb.unwrap_or(0)
    };
    let before = resident_kb();
    let grows = until(left, || (resident_kb() >= before + GROWTH_KB).then_some(()));
    grows
        .is_none()
        .then(|| format!("no more than {} kB", resident_kb()))
}

fn workers(case: &Case, setup: &Setup) -> usize {
    case.needs.workers.unwrap_or(setup.workers)
}

/// The process of a case, and the group that it runs in: it goes first.
struct Staged {
    stall: Stall,
    _group: Option<Group>,
}

fn start(case: &Case, setup: &Setup, without: bool) -> Staged {
    let group = case.needs.quota.and_then(Quota::group);
    let mut command = match &group {
        Some(group) => {
            let mut shell = Command::new("sh");
            shell.args(["-ec", &group.script(), "sh"]);
            shell.arg(&setup.program);
            shell
        }
        None => Command::new(&setup.program),
    };
    command.arg(case.code);
    let workers = setup.workers.to_string();
    let slow_after = setup.slow_after.as_millis().to_string();
    let mut start =
        Stall::of_command(command).args(&["--workers", &workers, "--slow-after", &slow_after]);
    if without {
        start = start.args(&["--without"]);
    }
    if case.needs.clock {
        start = with_a_clock(start);
    }
    if case.needs.quota.is_some() && group.is_none() {
        eprintln!("{}: no control group may be made here", case.code);
    }
    Staged {
        stall: start.start(),
        _group: group,
    }
}

/// Gives a process a clock of its own, which [`Play::set_clock`] sets.
fn with_a_clock(start: Start) -> Start {
    // Debian has it in a directory that nothing looks into by itself.
    let machines = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut all = machines.map(|machine| machine.path().join("faketime/libfaketimeMT.so.1"));
    let Some(library) = all.find(|library| library.exists()) else {
        eprintln!("no clock can be set here without libfaketime, of Debian's faketime");
        return start;
    };
    let file = start.dir().join(CLOCK);
    std::fs::write(&file, "+0d").expect("a directory of its own");
    let start = start
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1");
    // It has had both names.
    start
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
}

fn seen(case: &Case, stall: &Stall, sent: &[Sent]) -> Seen {
    let peer = case.truth.peer.map(|key| stall.told(key));
    Seen {
        records: stall.records(),
        asked: sent.iter().map(|s| (s.part, s.target.clone())).collect(),
        peer: peer.and_then(|peer| peer.parse().ok()),
    }
}
