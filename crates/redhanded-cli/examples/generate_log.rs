//! Writes a slow-request log to stdout, the same for the same arguments: megabytes, fingerprints.
//!
//! ```text
//! cargo run --release -p redhanded-cli --example generate_log -- 1000 500 > big.jsonl
//! ```
//!
//! The lines are made of the example record with stacks of thirty frames: 3 to 6 KB for a catch,
//! and every second request has a short line for its end.

#![expect(
    clippy::unwrap_used,
    reason = "an example that cannot go on says so by panicking"
)]

use redhanded_report::{Event, How, Outcome, Report, Stack};
use std::io::{BufWriter, Write, stdout};

const EXAMPLE: &str = include_str!("../../redhanded-report/fixtures/caught.jsonl");
const FRAMES: usize = 30;
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse().unwrap());
    let bytes = arguments.next().unwrap_or(10_u64) * 1_000_000;
    let fingerprints = arguments.next().unwrap_or(100_u64);
    let mut lines = Lines::new(fingerprints);
    let mut out = BufWriter::with_capacity(1 << 20, stdout().lock());
    let mut written = 0;
    while written < bytes {
        for line in lines.next_request() {
            serde_json::to_writer(&mut out, &line).unwrap();
            out.write_all(b"\n").unwrap();
            written += serde_json::to_vec(&line).unwrap().len() as u64 + 1;
        }
    }
    out.flush().unwrap();
}

struct Lines {
    caught: Report,
    ended: Report,
    fingerprints: u64,
    made: u64,
}

impl Lines {
    fn new(fingerprints: u64) -> Self {
        let mut reports = EXAMPLE
            .lines()
            .map(|line| serde_json::from_str::<Report>(line).unwrap());
        let (caught, ended) = (reports.next().unwrap(), reports.next().unwrap());
        Self {
            caught,
            ended,
            fingerprints,
            made: 0,
        }
    }

    fn next_request(&mut self) -> Vec<Report> {
        self.made += 1;
        let chance = mix(self.made);
        let culprit = chance % self.fingerprints;
        let id = id(self.made);
        let mut caught = self.caught.clone();
        caught.id.clone_from(&id);
        caught.time = time(self.made);
        caught.service.host = Some(format!("web-{}", chance >> 32 & 7));
        caught.service.pid = Some(4000 + (chance >> 40 & 3) as u32);
        caught.fingerprint = Some(format!("{:016x}", mix(culprit ^ 0xf00d)));
        caught.occurrences = Some(self.made / self.fingerprints + 1);
        caught.elapsed_ms = Some(2000.0 + (chance % 5000) as f64 / 10.0);
        let verdict = caught.verdict.as_mut().unwrap();
        let found = verdict.culprit.as_mut().unwrap();
        found.function = format!("app::area{}::step{culprit}", culprit % 17);
        found.line = Some((culprit % 900) as u32 + 1);
        let request = caught.request.as_mut().unwrap();
        request.route = Some(format!("/area{}/{{index}}", culprit % 17));
        caught.evidence.as_mut().unwrap().stacks = stacks(&self.caught, chance);
        let mut lines = vec![caught];
        if chance >> 20 & 1 == 0 {
            lines.push(self.end(&lines[0], chance));
        }
        lines
    }

    fn end(&self, caught: &Report, chance: u64) -> Report {
        let mut ended = self.ended.clone();
        ended.id.clone_from(&caught.id);
        ended.time.clone_from(&caught.time);
        ended.service = caught.service.clone();
        ended.fingerprint.clone_from(&caught.fingerprint);
        let mut outcome = Outcome::default();
        outcome.how = How::Completed;
        outcome.total_ms = 3000.0 + (chance % 90_000) as f64 / 10.0;
        ended.outcome = Some(outcome);
        ended.event = Event::Ended;
        ended
    }
}

/// One stack of thirty frames, in every third line with half of a second one.
fn stacks(example: &Report, chance: u64) -> Vec<Stack> {
    let known = &example.evidence.as_ref().unwrap().stacks;
    let deep = |stack: &Stack, frames: usize| {
        let mut deep = stack.clone();
        deep.frames = stack.frames.iter().cycle().take(frames).cloned().collect();
        for (at, frame) in deep.frames.iter_mut().enumerate() {
            frame.build_id = None;
            frame.offset = Some(mix(chance ^ at as u64) & 0xff_ffff);
        }
        deep
    };
    let first = deep(&known[0], FRAMES);
    if chance.is_multiple_of(3) {
        vec![first, deep(&known[1], FRAMES / 2)]
    } else {
        vec![first]
    }
}

/// splitmix64: good enough to look like chance, and the same everywhere.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn id(made: u64) -> String {
    let number = (0x0197_c2c0_0000_u128 + u128::from(made)) << 80 | u128::from(mix(made));
    (0..26)
        .rev()
        .map(|digit| char::from(CROCKFORD[(number >> (digit * 5) & 31) as usize]))
        .collect()
}

fn time(made: u64) -> String {
    let (seconds, day) = (made % 86_400, 1 + made / 86_400 % 28);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = mix(made) % 1_000_000;
    format!("2026-07-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}
