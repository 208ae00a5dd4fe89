//! A process with a flight recorder that dies, by somebody else's hand or by its own.
//!
//! ```text
//! doomed LOG RECORDER FIRST [--records N] [--sync-every MS] [--all-out]
//! ```
//!
//! Its requests are numbered from FIRST on. Reads `rest ROUTE N` (begins N requests that do not end), `flush MS` and `die HOW`
//! (`abort`, `panic`, `null`, `eat`) from its input. With `--all-out` it begins and ends requests as fast as it can, for ever,
//! some of which are caught. What it does is a line on its output by one write, so that a killed process leaves whole lines
//! but for the last: `begun NUMBER .` when a handler runs, `ended NUMBER .` before it returns, `line EVENT ID DURABLE URL .` for
//! each report.

use redhanded::report::Report;
use redhanded::sink::Sink;
use redhanded::{FlightRecorder, Redhanded, slow_after};
use std::error::Error;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Requests at a time, when it goes all out.
const AT_ONCE: u64 = 24;

struct Tell;

impl Sink for Tell {
    fn accept(&self, report: &Arc<Report>, _: Option<&Arc<Report>>) {
        let (event, id) = (report.event.as_str(), &report.id);
        let url = report
            .request
            .as_ref()
            .map_or("-", |request| request.url.as_str());
        say(&format!("line {event} {id} {} {url} .", report.durable));
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

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("refused {error} ."));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, recorder, first, more @ ..] = arguments.as_slice() else {
        return Err("LOG RECORDER FIRST".into());
    };
    let number = Arc::new(AtomicU64::new(first.parse()?));
    let mut recorder = FlightRecorder::new(recorder);
    let number_behind = |word: &str| {
        let at = more.iter().position(|said| said == word)?;
        more.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(records) = number_behind("--records") {
        recorder = recorder.records(usize::try_from(records)?);
    }
    if let Some(ms) = number_behind("--sync-every") {
        recorder = recorder.sync_every(Duration::from_millis(ms));
    }
    let redhanded = Redhanded::builder("doomed")
        .slow_after(Duration::from_millis(3))
        .route("/young", slow_after(Duration::from_secs(600)))
        .wake_to_look(false)
        .sink(Tell)
        .slow_log(log)
        .flight_recorder(recorder)
        .install()?;
    say("ready .");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if more.iter().any(|word| word == "--all-out") {
        runtime.block_on(all_out(&redhanded, &number));
    }
    for command in std::io::stdin().lock().lines() {
        match command?.split(' ').collect::<Vec<_>>()[..] {
            ["rest", route, count] => {
                for _ in 0..count.parse()? {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    runtime.spawn(one(
                        redhanded.clone(),
                        route.to_owned(),
                        number,
                        Duration::MAX,
                    ));
                }
            }
            ["flush", ms] => {
                let done = runtime.block_on(redhanded.flush(Duration::from_millis(ms.parse()?)));
                say(&format!("flushed {done} ."));
            }
            ["shutdown"] => {
                let done = runtime.block_on(redhanded.shutdown(Duration::from_secs(10)));
                say(&format!("shutdown {done} ."));
            }
            ["die", how] => die(how)?,
            _ => return Err("which command?".into()),
        }
    }
    Ok(())
}

/// Many short ones, and one in eight that is caught: each of these on a route of its own, so that it has a line.
async fn all_out(redhanded: &Redhanded, number: &Arc<AtomicU64>) {
    let loops = (0..AT_ONCE).map(|lane| {
        let (redhanded, number) = (redhanded.clone(), number.clone());
        tokio::spawn(async move {
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let (route, rests) = if lane % 8 == 0 {
                    (format!("/slow/{number}"), Duration::from_millis(60))
                } else {
                    ("/quick".to_owned(), Duration::from_millis(number % 3))
                };
                one(redhanded.clone(), route, number, rests).await;
            }
        })
    });
    for each in loops.collect::<Vec<_>>() {
        let _ = each.await;
    }
}

async fn one(redhanded: Redhanded, route: String, number: u64, rests: Duration) {
    let target = format!("{route}?n={number}&token=SECRET&x=a%20b");
    let request = redhanded.request("GET", &target).route(&route);
    request
        .run(async {
            say(&format!("begun {number} ."));
            sleep(rests).await;
            say(&format!("ended {number} ."));
        })
        .await;
}

fn die(how: &str) -> Result<(), Box<dyn Error>> {
    match how {
        "abort" => std::process::abort(),
        // What `panic = "abort"` does: a panic that may not unwind ends the process where it is.
        "panic" => cannot_unwind(),
        "null" => write_to_null()?,
        "eat" => eat(),
        _ => return Err("which death?".into()),
    }
    Err("it lives".into())
}

extern "C" fn cannot_unwind() {
    panic!("nobody can catch this");
}

/// Until somebody stops it.
fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
    }
}

#[inline(never)]
fn victim() {
    say("not overwritten .");
}

/// A store to address zero, by an instruction that is put into this process's own code: a segmentation fault as a real one.
fn write_to_null() -> Result<(), Box<dyn Error>> {
    use std::os::unix::fs::FileExt;
    // movl $0, 0x0
    const STORE: [u8; 11] = [0xc7, 0x04, 0x25, 0, 0, 0, 0, 0, 0, 0, 0];
    let memory = std::fs::File::options()
        .write(true)
        .open("/proc/self/mem")?;
    memory.write_all_at(&STORE, victim as fn() as usize as u64)?;
    std::hint::black_box(victim as fn())();
    Ok(())
}
