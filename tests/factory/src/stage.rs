//! Where a case is played: its process, its clients, and what was reported.

use crate::load::Load;
use crate::play::{Part, Play, Sent};
use crate::{Case, Hang, score};
use redhanded::report::Report;
use redhanded_tests::{Stall, until};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Under which circumstances a case is played.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary `factory`.
    pub program: PathBuf,
    /// Workers, where the case does not say.
    pub workers: usize,
    /// The machine has more to do than it can.
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
    let stall = start(case, setup, false);
    let _load = setup.overloaded.then(Load::begin);
    let slow_after = case.needs.slow_after.unwrap_or(setup.slow_after);
    let mut play = Play::new(&stall, slow_after);
    (case.play)(&mut play);
    let sent = play.into_sent();
    let seen = || seen(case, &stall, &sent);
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
    let stall = start(case, setup, true);
    let slow_after = case.needs.slow_after.unwrap_or(setup.slow_after);
    let mut play = Play::new(&stall, slow_after);
    (case.play)(&mut play);
    let deadline = match case.truth.hang {
        Hang::Never => return Ok(()),
        Hang::ForEver => 3 * slow_after,
        Hang::Late => slow_after,
    };
    let until = play.begun() + deadline;
    let guilty = |sent: &&mut Sent| sent.part.is_caught();
    let mut sent = play.into_sent();
    let left = || until.saturating_duration_since(std::time::Instant::now());
    let least = Duration::from_millis(1);
    let answered = sent.iter_mut().filter(guilty).filter_map(|sent| {
        sent.is_answered(left().max(least))
            .then(|| sent.target.clone())
    });
    let answered: Vec<String> = answered.collect();
    let all = sent.iter_mut().filter(guilty).count();
    if answered.len() == all {
        return Err(format!("{}: answered without us: {answered:?}", case.code));
    }
    Ok(())
}

fn start(case: &Case, setup: &Setup, without: bool) -> Stall {
    let mut command = Command::new(&setup.program);
    command.arg(case.code);
    let workers = setup.workers.to_string();
    let slow_after = setup.slow_after.as_millis().to_string();
    let start =
        Stall::of_command(command).args(&["--workers", &workers, "--slow-after", &slow_after]);
    let start = if without {
        start.args(&["--without"])
    } else {
        start
    };
    start.start()
}

fn seen(case: &Case, stall: &Stall, sent: &[Sent]) -> Seen {
    let peer = case.truth.peer.map(|key| stall.told(key));
    Seen {
        records: stall.records(),
        asked: sent.iter().map(|s| (s.part, s.target.clone())).collect(),
        peer: peer.and_then(|peer| peer.parse().ok()),
    }
}
