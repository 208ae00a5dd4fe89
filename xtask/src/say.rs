//! All printing. What a task is for goes to stdout; what it is doing goes to stderr, in order with
//! the words of the commands it runs.

use crate::failure::Failure;
use crate::tasks::Task;
use std::io::Write;
use std::time::Duration;

pub(crate) fn result(line: &str) {
    // A reader that has gone, as in `cargo xtask | head`, is nobody's trouble.
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

pub(crate) fn command(line: &str) {
    eprintln!("$ {line}");
}

pub(crate) fn failure(failure: &Failure) {
    eprintln!("xtask: {failure}");
}

pub(crate) fn tasks(tasks: &[Task]) {
    result("cargo xtask TASK, with one task for each promise:\n");
    for task in tasks {
        let usage = format!("{} {}", task.name, task.arguments);
        result(&format!("  {:24} {}", usage.trim_end(), task.promise));
    }
}

/// The last words of `ci`: each promise, whether it was kept, and how long that took to find out.
pub(crate) fn summary(kept: &[(&str, bool, Duration)]) {
    result("");
    for (name, kept, took) in kept {
        let word = if *kept { "ok" } else { "FAILED" };
        result(&format!("{name:10} {word:8} {}", seconds(*took)));
    }
}

pub(crate) fn seconds(took: Duration) -> String {
    format!("{:7.1} s", took.as_secs_f64())
}
