//! The hammer: thousands of captures of threads that do the worst things. Each workload runs in a process of its own, so that one
//! crash is one red line.
//!
//! `REDHANDED_HAMMER_CAPTURES` says how many captures per workload (default 300). Arguments filter workloads by name.

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
)))]
fn main() {}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod alternate;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod blocked;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod edge;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod signals;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod spin;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod target;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod truth;

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
fn main() {
    runner::main();
}

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    target_arch = "x86_64",
    not(redhanded_stub)
))]
mod runner {
    use crate::{alternate, blocked, edge, signals, spin};
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
    use std::time::{Duration, Instant};

    const WORKLOAD: &str = "REDHANDED_HAMMER_WORKLOAD";

    /// What a workload's process found: the figures of its summary line, or what went wrong.
    pub(crate) type Verdict = Result<Tally, String>;

    #[derive(Default)]
    pub(crate) struct Tally {
        pub(crate) captures: usize,
        pub(crate) complete: usize,
        pub(crate) impossible: usize,
        pub(crate) note: String,
    }

    impl Tally {
        /// Keeps the first false stacks for the eye.
        pub(crate) fn note_example(&mut self, stack: &redhanded_capture::RawStack) {
            if self.impossible <= 3 {
                let frames = redhanded_capture::Symbolizer::new().symbolize(stack);
                let names: Vec<&str> = frames
                    .iter()
                    .map(|frame| frame.function.as_deref().unwrap_or("?"))
                    .collect();
                let frame = |frame: &redhanded_capture::RawFrame| {
                    format!(
                        "{:x}{}",
                        frame.offset().unwrap_or(frame.address),
                        frame.module.as_ref().map_or("?", |module| &module.name)
                    )
                };
                let places: Vec<String> = stack.frames.iter().map(frame).collect();
                self.note
                    .push_str(&format!("\n    false: {names:?} {places:?}"));
            }
        }
    }

    /// How many captures a workload makes.
    pub(crate) fn captures() -> usize {
        std::env::var("REDHANDED_HAMMER_CAPTURES")
            .ok()
            .and_then(|count| count.parse().ok())
            .unwrap_or(300)
    }

    pub(crate) fn main() {
        let code = match std::env::var(WORKLOAD) {
            Ok(workload) => child(&workload),
            Err(_) => parent(),
        };
        // Targets still spin: they must not see statics destroyed.
        // SAFETY: `_exit` ends the process at once; nothing of ours needs to be flushed.
        unsafe { libc::_exit(if code == ExitCode::SUCCESS { 0 } else { 1 }) }
    }

    fn all() -> Vec<&'static str> {
        [
            spin::NAMES,
            blocked::NAMES,
            alternate::NAMES,
            edge::NAMES,
            signals::NAMES,
        ]
        .concat()
    }

    fn child(workload: &str) -> ExitCode {
        let verdict = spin::run(workload)
            .or_else(|| blocked::run(workload))
            .or_else(|| alternate::run(workload))
            .or_else(|| edge::run(workload))
            .or_else(|| signals::run(workload))
            .unwrap_or_else(|| Err("no such workload".to_owned()));
        match verdict {
            Ok(tally) => {
                let percent = 100.0 * tally.complete as f64 / tally.captures.max(1) as f64;
                eprint!(
                    "{:>8} captures, complete {percent:5.1} %, crashes 0, deadlocks 0, impossible chains {}{}{}",
                    tally.captures,
                    tally.impossible,
                    if tally.note.is_empty() { "" } else { "; " },
                    tally.note
                );
                if tally.impossible == 0 {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                }
            }
            Err(reason) => {
                eprint!("{reason}");
                ExitCode::FAILURE
            }
        }
    }

    fn parent() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if arguments.iter().any(|argument| argument == "--list") {
            return ExitCode::SUCCESS;
        }
        let filters: Vec<&String> = arguments
            .iter()
            .filter(|argument| !argument.starts_with('-'))
            .collect();
        let wanted = |name: &str| {
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
        };
        let failed: Vec<&str> = all()
            .into_iter()
            .filter(|name| wanted(name))
            .filter(|name| !passes(name))
            .collect();
        eprintln!(
            "hammer: {}",
            if failed.is_empty() {
                "all passed".to_owned()
            } else {
                format!("FAILED: {failed:?}")
            }
        );
        if failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn passes(name: &str) -> bool {
        let limit = Duration::from_secs(60) + Duration::from_millis(20) * captures() as u32;
        let mut child = Command::new(std::env::current_exe().expect("this file"))
            .env(WORKLOAD, name)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let status = wait(&mut child, limit);
        let mut said = String::new();
        if status.is_some() {
            let _ = child
                .stderr
                .take()
                .map(|mut pipe| pipe.read_to_string(&mut said));
        }
        let verdict = match status {
            Some(status) if status.success() => "ok",
            Some(status) => &crash(status),
            None => "DEADLOCK",
        };
        eprintln!("{name:<22} {verdict:<6} {}", said.trim());
        verdict == "ok"
    }

    fn crash(status: ExitStatus) -> String {
        status.signal().map_or("FAILED".to_owned(), |signal| {
            format!("CRASHED by signal {signal}")
        })
    }

    /// Waits for at most `limit`, then ends the child and returns `None`.
    fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = child.try_wait().expect("our child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }
}
