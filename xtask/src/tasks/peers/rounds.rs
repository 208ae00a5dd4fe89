//! Throughput: each service in turn, on a core of its own, asked by `wrk` from another one.

use super::{AROUND, URIS};
use crate::failure::Failure;
use crate::run::{self, Guarded};
use std::path::Path;
use std::process::Command;

/// What a service did beside the bare one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Served {
    pub(super) uri: &'static str,
    pub(super) around: &'static str,
    /// Its requests per second, of those of the bare one in the same round; the middle one of all rounds.
    pub(super) ratio: f64,
    /// CPU time of the whole process for each request, more than of the bare one.
    pub(super) cpu_us: f64,
}

/// One turn of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    uri: &'static str,
    around: &'static str,
    requests_per_second: f64,
    cpu_us: f64,
}

/// What a tick of a process's CPU time is to Linux.
const TICK_US: f64 = 10_000.0;

/// Something of `benches/peers` where it disturbs no service.
pub(super) fn aside(bin: &Path, words: &[&str]) -> Command {
    on("0", bin, words)
}

fn on(core: &str, program: &Path, words: &[&str]) -> Command {
    let mut command = run::program("taskset");
    command.args(["-c", core]).arg(program).args(words);
    command.env("REDHANDED_LOG", "off");
    command
}

/// Lets each of them serve in each round; another one begins each time.
pub(super) fn play(bin: &Path, sink: &str, rounds: usize) -> Result<Vec<Served>, Failure> {
    run::provide("taskset", "util-linux")?;
    if !run::succeeds(run::program("sh").args(["-c", "command -v wrk"])) {
        run::install("wrk", &["wrk"])?;
    }
    let mut turns = Vec::new();
    for round in 0..rounds {
        for place in 0..AROUND.len() {
            let around = AROUND[(place + round) % AROUND.len()];
            let (server, address) = run::start(&mut on("1", bin, &["serve", around, sink]))?;
            for uri in URIS {
                let url = format!("http://{address}{uri}");
                wrk(&url, "1s")?;
                let before = cpu_ticks(&server)?;
                let (requests, requests_per_second) = wrk(&url, "2s")?;
                let ticks = cpu_ticks(&server)? - before;
                let cpu_us = ticks as f64 * TICK_US / requests;
                turns.push(Turn {
                    uri,
                    around,
                    requests_per_second,
                    cpu_us,
                });
            }
        }
    }
    Ok(compare(&turns))
}

/// How many requests were answered, and how many each second.
fn wrk(url: &str, time: &str) -> Result<(f64, f64), Failure> {
    let mut wrk = on("0", "wrk".as_ref(), &["-t1", "-c64", "-d", time, url]);
    let said = run::output(&mut wrk)?;
    read(&said).ok_or_else(|| Failure::broken(format!("wrk said {said:?}")))
}

fn read(said: &str) -> Option<(f64, f64)> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let word_before = |what: &str| said.split_once(what)?.0.split_whitespace().last();
    let requests = word_before(" requests in")?.parse().ok()?;
    let after = said
        .split_once("Requests/sec:")?
        .1
        .split_whitespace()
        .next();
    Some((requests, after?.parse().ok()?))
}

/// CPU time of all its threads, in ticks.
fn cpu_ticks(process: &Guarded) -> Result<u64, Failure> {
    let path = format!("/proc/{}/stat", process.id());
    let stat =
        std::fs::read_to_string(&path).map_err(|e| Failure::broken(format!("{path}: {e}")))?;
    ticks(&stat).ok_or_else(|| Failure::broken(format!("{path} says {stat:?}")))
}

/// User's and system's time, the 14th and 15th word; the second is a name in brackets, which may have blanks.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace().skip(11);
    let mut next = || words.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn compare(turns: &[Turn]) -> Vec<Served> {
    let of = |uri, around| {
        turns
            .iter()
            .filter(move |t| (t.uri, t.around) == (uri, around))
    };
    let mut served = Vec::new();
    for uri in URIS {
        for around in AROUND {
            let pairs = || of(uri, around).zip(of(uri, AROUND[0]));
            served.push(Served {
                uri,
                around,
                ratio: middle(
                    pairs().map(|(it, bare)| it.requests_per_second / bare.requests_per_second),
                ),
                cpu_us: middle(pairs().map(|(it, bare)| it.cpu_us - bare.cpu_us)),
            });
        }
    }
    served
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_unless_something_went_wrong() {
        let said = "  1 threads\n  5 requests in 2.00s, 1MB read\nRequests/sec:   2.50\n";
        assert_eq!(read(said), Some((5.0, 2.5)));
        assert_eq!(read(&format!("{said}Non-2xx or 3xx responses: 1")), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn cpu_time_is_read_whatever_the_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn each_is_compared_with_the_bare_one_of_its_round() {
        let turn = |around, requests_per_second| Turn {
            uri: URIS[1],
            around,
            requests_per_second,
            cpu_us: 1.0,
        };
        let turns = [
            turn("bare", 100.0),
            turn("story", 80.0),
            turn("story", 20.0),
            turn("bare", 50.0),
            turn("story", 300.0),
            turn("bare", 400.0),
        ];
        let served = compare(&turns);
        let story = served
            .iter()
            .find(|s| (s.uri, s.around) == (URIS[1], "story"));
        assert_eq!(story.map(|s| s.ratio), Some(0.75));
    }
}
