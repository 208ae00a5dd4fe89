//! Kills a process that catches requests and rotates its log, at random moments, and reads what is left.
//!
//! ```text
//! log_kills [KILLS [SEED]]
//! ```
//!
//! Ends with 1 when a line that was acknowledged is nowhere, or a file cannot be read.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redhanded_weather::{Catcher, Kills, Left, Told, files_of, sibling};
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A process is killed within this time; the first half of it is mostly its start.
const LONGEST: Duration = Duration::from_millis(160);
/// Small, so that a life rotates more than once.
const ROTATE: [&str; 3] = ["--rotate", "20000", "100000"];

#[derive(Default)]
struct Sum {
    kills: u32,
    acknowledged: u32,
    lives_with_lines: u32,
    lines: u32,
    twice: u32,
    files: usize,
    torn: usize,
    missing: Vec<String>,
    unreadable: Vec<String>,
}

fn main() -> ExitCode {
    let kills = Kills::from_arguments(5000);
    let begun = Instant::now();
    let sum = kills.sum(one_log, Sum::add);
    tell(&sum, begun.elapsed());
    let acknowledged = sum.acknowledged > kills.number;
    ExitCode::from(u8::from(
        !(sum.missing.is_empty() && sum.unreadable.is_empty() && acknowledged),
    ))
}

/// Lives and deaths on one log, and what is left of it.
fn one_log(lives: u32, seed: u64) -> Sum {
    let mut random = SmallRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("slow.jsonl");
    let mut sum = Sum::default();
    let mut told = Told::default();
    for _ in 0..lives {
        let more = [&["--all-out"], &ROTATE[..]].concat();
        let catcher = Catcher::start(Command::new("env"), &log, &more);
        std::thread::sleep(random.random_range(Duration::ZERO..LONGEST));
        let heard = catcher.kill();
        sum.kills += 1;
        sum.lives_with_lines += u32::from(!heard.durable.is_empty());
        told.extend(heard);
    }
    let left = Left::of(&log);
    sum.acknowledged = told.durable.values().sum();
    sum.lines = left.lines.values().sum();
    // A request has several `updated` lines by right, and one of each other kind.
    let twice = |((event, _), times): &(&(String, String), &u32)| event != "updated" && **times > 1;
    sum.twice = left.lines.iter().filter(twice).count() as u32;
    sum.files = left.files;
    sum.torn = left.torn.len() + left.torn_ends as usize;
    sum.missing = left.missing(&told.durable);
    let mut top = Command::new(sibling("redhanded"));
    let top = top
        .arg("top")
        .args(files_of(&log))
        .stdout(Stdio::null())
        .output();
    let top = top.expect("it is built");
    if !top.status.success() {
        let words = String::from_utf8_lossy(&top.stderr).into_owned();
        sum.unreadable.push(format!("{}: {words}", top.status));
    }
    if !(sum.missing.is_empty() && sum.unreadable.is_empty()) {
        let kept = directory.keep();
        sum.unreadable
            .push(format!("seed {seed}, kept in {}", kept.display()));
    }
    sum
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.lives_with_lines += other.lives_with_lines;
        self.lines += other.lines;
        self.twice += other.twice;
        self.files += other.files;
        self.torn += other.torn;
        self.missing.extend_from_slice(&other.missing);
        self.unreadable.extend_from_slice(&other.unreadable);
    }
}

fn tell(sum: &Sum, took: Duration) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{} kills in {:.0} s, {} of processes that had acknowledged something",
        sum.kills,
        took.as_secs_f64(),
        sum.lives_with_lines
    );
    let _ = writeln!(
        out,
        "{} lines in {} files, {} there twice, {} torn",
        sum.lines, sum.files, sum.twice, sum.torn
    );
    let _ = writeln!(
        out,
        "{} acknowledged lines, {} lost",
        sum.acknowledged,
        sum.missing.len()
    );
    for trouble in sum.missing.iter().chain(&sum.unreadable) {
        let _ = writeln!(out, "  {trouble}");
    }
}
