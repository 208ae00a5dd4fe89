//! Kills a process that has a flight recorder and serves requests, at random moments, and reads what is left.
//!
//! ```text
//! recorder_kills [KILLS [SEED]]
//! ```
//!
//! Ends with 1 when a request that was caught, with its line acknowledged, is not in the file as such, when more than one in a
//! thousand of those in flight is not in it, when one of them has no `died` line in the log in the end, or a secret is found.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redhanded::report::{Event, Report};
use redhanded_weather::{Doomed, Files, Kills, PATIENCE, Said, files_of, number_in, until};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// A process is killed within this time after it is ready, or after it was started.
const LONGEST: Duration = Duration::from_millis(160);
/// Enough for what is in flight at once.
const RECORDS: [&str; 3] = ["--records", "256", "--all-out"];

#[derive(Default)]
struct Sum {
    kills: u32,
    lives_with_requests: u32,
    in_flight: u64,
    in_flight_known: u64,
    caught: u64,
    caught_known: u64,
    torn: u64,
    died_expected: u64,
    died_found: u64,
    trouble: Vec<String>,
}

fn main() -> ExitCode {
    let kills = Kills::from_arguments(10_000);
    let begun = Instant::now();
    let sum = kills.sum(one_file, Sum::add);
    tell(&sum, begun.elapsed());
    ExitCode::from(u8::from(!sum.is_good()))
}

/// Lives and deaths on one file, and what their log says in the end.
fn one_file(lives: u32, seed: u64) -> Sum {
    let mut random = SmallRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::at(directory.path());
    let mut sum = Sum::default();
    let mut expected = BTreeSet::new();
    for life in 0..lives {
        let first = u64::from(life) << 32;
        let doomed = Doomed::start(Command::new("env"), &files, first, &RECORDS);
        // One in four is killed while it starts, perhaps.
        if life % 4 != 0 {
            doomed.answer("ready");
        }
        std::thread::sleep(random.random_range(Duration::ZERO..LONGEST));
        sum.note(&doomed.kill(), &files, &mut expected);
    }
    let mut last = Doomed::start(Command::new("env"), &files, u64::from(lives) << 32, &[]);
    let mut flushed = String::new();
    // A flush does not wait for a slow disk to take what the dead have left, but says so.
    let done = until(PATIENCE, || {
        last.say("flush 20000");
        flushed = last.answer("flushed");
        (flushed == "true").then_some(())
    });
    drop(last);
    if done.is_none() {
        sum.trouble
            .push(format!("the last process could not flush: {flushed:?}"));
    }
    let died = died_in(&files.log, &mut sum.trouble);
    sum.died_expected = expected.len() as u64;
    sum.died_found = expected.intersection(&died).count() as u64;
    if !sum.is_good() {
        let kept = directory.keep();
        sum.trouble
            .push(format!("seed {seed}, kept in {}", kept.display()));
    }
    sum
}

/// The numbers of the requests that have a `died` line.
fn died_in(log: &Path, trouble: &mut Vec<String>) -> BTreeSet<u64> {
    let mut died = BTreeSet::new();
    for file in files_of(log) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.contains("SECRET") {
            trouble.push("a secret in the log".to_owned());
        }
        let reports = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Report>(line).ok());
        let reports = reports.filter(|report| report.event == Event::Died);
        died.extend(reports.filter_map(|report| number_in(&report.request?.url)));
    }
    died
}

impl Sum {
    /// What a killed process had said, against what it has left.
    fn note(&mut self, said: &Said, files: &Files, expected: &mut BTreeSet<u64>) {
        self.kills += 1;
        if said.in_flight.is_empty() {
            return;
        }
        self.lives_with_requests += 1;
        let (recording, bytes) = match files.recording() {
            Ok(found) => found,
            Err(why) => return self.trouble.push(why),
        };
        if bytes.windows(6).any(|window| window == b"SECRET") {
            self.trouble.push("a secret in the file".to_owned());
        }
        self.torn += recording.torn + recording.torn_parts;
        let mut known = BTreeSet::new();
        let mut known_caught = BTreeSet::new();
        for request in &recording.requests {
            let Some(number) = number_in(&request.url()) else {
                self.trouble
                    .push(format!("no number in {:?}", request.url()));
                continue;
            };
            known.insert(number);
            if let Some(caught) = &request.caught {
                known_caught.insert((caught.id.as_str(), number));
            }
        }
        self.in_flight += said.in_flight.len() as u64;
        self.in_flight_known += said.in_flight.intersection(&known).count() as u64;
        expected.extend(said.in_flight.intersection(&known));
        for caught in said
            .caught()
            .filter(|(_, number)| said.in_flight.contains(number))
        {
            self.caught += 1;
            if known_caught.contains(&caught) {
                self.caught_known += 1;
            } else {
                self.trouble
                    .push(format!("{} was caught and is not known", caught.0));
            }
        }
    }

    fn is_good(&self) -> bool {
        let missing = self.in_flight - self.in_flight_known;
        self.trouble.is_empty()
            && self.caught == self.caught_known
            && missing * 1000 <= self.in_flight
            && self.died_expected == self.died_found
    }

    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.lives_with_requests += other.lives_with_requests;
        self.in_flight += other.in_flight;
        self.in_flight_known += other.in_flight_known;
        self.caught += other.caught;
        self.caught_known += other.caught_known;
        self.torn += other.torn;
        self.died_expected += other.died_expected;
        self.died_found += other.died_found;
        self.trouble.extend_from_slice(&other.trouble);
    }
}

fn tell(sum: &Sum, took: Duration) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{} kills in {:.0} s, {} of processes with requests in flight",
        sum.kills,
        took.as_secs_f64(),
        sum.lives_with_requests
    );
    for (what, all, known) in [
        (
            "requests certainly in flight",
            sum.in_flight,
            sum.in_flight_known,
        ),
        ("of them caught, with a line", sum.caught, sum.caught_known),
        (
            "died lines that were to come",
            sum.died_expected,
            sum.died_found,
        ),
    ] {
        let share = known as f64 * 100.0 / (all.max(1)) as f64;
        let _ = writeln!(out, "{what}: {all}, known {known} ({share:.3} %)");
    }
    let _ = writeln!(out, "{} torn records and parts of records", sum.torn);
    for trouble in &sum.trouble {
        let _ = writeln!(out, "  {trouble}");
    }
}
