//! A process that catches requests on command, and says what its sink was told.
//!
//! ```text
//! catcher LOG [--rotate BYTES KEEP] [--all-out]
//! ```
//!
//! Reads `catch N`, `flush MS`, `stats` from its input and answers with `served N SLOWEST_MS`, `flushed
//! BOOL MS`, `stats WAITING LOST`. With `--all-out` it catches for ever. Each report is a line `line EVENT ID
//! DURABLE .` by one write, so that a killed process leaves whole lines but for the last.

use redhanded::Redhanded;
use redhanded::report::Report;
use redhanded::sink::Sink;
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long each request rests.
const RESTS: Duration = Duration::from_millis(30);

/// Says what it is told.
struct Tell;

impl Sink for Tell {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        let (event, id) = (report.event.as_str(), &report.id);
        say(&format!("line {event} {id} {} .", report.durable));
    }

    fn flush(&self, _: Duration) -> bool {
        true
    }

    fn lost(&self) -> u64 {
        0
    }
}

fn say(words: &str) {
    // A parent that is gone hears nothing, and kills.
    let _ = std::io::stdout().write_all(format!("{words}\n").as_bytes());
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let log = arguments.first().ok_or("which log?")?;
    // Without a look a pending request has no stack and is known by its route: each is a kind of its own, and has lines.
    let mut builder = Redhanded::builder("catcher")
        .slow_after(Duration::from_millis(3))
        .wake_to_look(false)
        .sink(Tell)
        .slow_log(log);
    if let Some(at) = arguments.iter().position(|word| word == "--rotate") {
        let number = |at: usize| arguments.get(at).ok_or("BYTES KEEP");
        builder = builder.slow_log_rotation(number(at + 1)?.parse()?, number(at + 2)?.parse()?);
    }
    let redhanded = builder.install()?;
    say("ready");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if arguments.iter().any(|word| word == "--all-out") {
        runtime.block_on(all_out(&redhanded));
    }
    let mut first = 0;
    for command in std::io::stdin().lock().lines() {
        let command = command?;
        match command.split(' ').collect::<Vec<_>>()[..] {
            ["catch", number] => {
                let number = number.parse()?;
                let slowest = runtime.block_on(catch(&redhanded, first, number));
                first += number;
                say(&format!("served {number} {}", slowest.as_millis()));
            }
            ["flush", ms] => {
                let begun = Instant::now();
                let deadline = Duration::from_millis(ms.parse()?);
                let done = runtime.block_on(redhanded.flush(deadline));
                say(&format!("flushed {done} {}", begun.elapsed().as_millis()));
            }
            ["stats"] => {
                let stats = redhanded.stats();
                say(&format!("stats {} {}", stats.waiting, stats.lost.reports));
            }
            _ => return Err(format!("{command:?}?").into()),
        }
    }
    Ok(())
}

/// Ten requests at a time, each on a route of its own; how long the slowest took.
async fn catch(redhanded: &Redhanded, first: u32, number: u32) -> Duration {
    let mut slowest = Duration::ZERO;
    for begin in (first..first + number).step_by(10) {
        let end = (begin + 10).min(first + number);
        let requests = (begin..end).map(|n| tokio::spawn(one(redhanded.clone(), n)));
        for request in requests.collect::<Vec<_>>() {
            slowest = slowest.max(request.await.unwrap_or(Duration::MAX));
        }
        // So that fifty looks a second are enough for all.
        sleep(Duration::from_millis(250).saturating_sub(RESTS)).await;
    }
    slowest
}

async fn one(redhanded: Redhanded, number: u32) -> Duration {
    let route = format!("/rests/{number}");
    let begun = Instant::now();
    let request = redhanded.request("GET", &route).route(&route);
    request.run(sleep(RESTS)).await;
    begun.elapsed()
}

/// More requests than can be looked at, until somebody kills the process.
async fn all_out(redhanded: &Redhanded) {
    for number in 0.. {
        tokio::spawn(one(redhanded.clone(), number));
        sleep(Duration::from_millis(1)).await;
    }
}
