//! The `redhanded` command: reads slow-request logs, on any machine and without the server.
//!
//! | command | does |
//! |---|---|
//! | `redhanded top [FILE]…` | culprits ranked over any number of logs and hosts |
//! | `redhanded show ID [FILE]…` | one runaway as a page of text: verdict, request, stacks, how it ended |
//! | `redhanded explain FINGERPRINT [FILE]…` | what the culprits of one fingerprint have in common and normal requests have not |
//! | `redhanded tail [FILE]` | follows a log, one line per runaway, through every rotation |
//! | `redhanded postmortem FILE` | what was in flight when a process died, from its flight recorder |
//! | `redhanded drill [CODE]…` | lets every known way to hang happen once, and says what is seen of it |
//! | `redhanded completions SHELL`, `redhanded man [COMMAND]` | for the shell and for `man` |
//!
//! Of our crates it knows `redhanded-report` only: it has no code that watches, signals or unwinds. The drill
//! has, and is therefore a program of its own, `redhanded-drill`, found beside this one or in `PATH`, which
//! takes this one's place.
//!
//! Logs are JSON Lines, one [`redhanded_report::Report`] a line; `-` is standard input, and files
//! that gzip has packed are read as they are. A line that is torn, foreign or longer than 16 MiB is
//! skipped with a warning that names the file, the line and the byte offset; a last line without
//! its end is still being written, and is no error. What a newer redhanded wrote is read as far as
//! it is known. No control character of a log reaches the terminal.
//!
//! # Exit codes
//!
//! | code | means |
//! |---|---|
//! | 0 | fine; also when the reader of our output has gone away |
//! | 1 | nothing found: no such id, no culprit, an empty log, nothing in flight; a drill in which one was missed |
//! | 2 | usage: an unknown option, an id or a fingerprint that fits more than one |
//! | 3 | a file could not be read or is none of ours, or the output not be written; what could be read is shown; no drill is there |
//!
//! # What `top` counts
//!
//! - The count of a fingerprint is the sum over processes of the highest `occurrences` that a line
//!   of that process carries, because repeats have no lines of their own; or the number of requests
//!   with lines, where that is higher. A process is service, host, pid and instance; where a later
//!   line of the same process counts less than an earlier one, it was started anew.
//! - Time is known only for requests with lines: the whole life of those that ended, the age at the
//!   last look of those that did not.
//! - The log has no requests that were well, so there is no rate in it; `--requests N` says how
//!   many there were, and gives the rate per million.
//! - Memory grows with the fingerprints and the processes that have them, not with lines. To join
//!   the lines of a request, the newest 65,536 that have not ended and as many that have are
//!   remembered; an end that comes after more than that is counted as a request of its own.
//! - A request that died with its process counts for a fingerprint if it had been caught; the others are only told
//!   in one figure.
//!
//! # What `explain` compares
//!
//! - Each `caught` line of a culprit says how usual its parameters, headers, sizes and client are
//!   among normal requests of its route (`evidence.baseline`). The culprits of all logs are put on one
//!   side; on the other, of each process and route, the most normal requests that a line of it knew.
//! - Named is what Fisher's exact test (one-sided) leaves to chance with less than 0.01, corrected
//!   for everything that was compared (Holm). Of what says the same in several ways, such as a value
//!   and its length, the one that tells most is named.
//! - If nothing is, it says so, what comes closest, and how many more culprits with it would be
//!   enough. That is an answer, and no failure: the exit code is 0.
//! - Victims and bystanders are counted and not compared. 16,384 culprits are compared at most; of
//!   more, the lines are counted.
//!
//! # JSON
//!
//! `--json` prints one object (`show`, `top`) or one a line (`tail`). Fields may be added, and are
//! never renamed within one version of `format`.
//!
//! - `top`: `format` (`"redhanded-top/1"`), `files`, `lines`, `records`, `skipped`, `requests`
//!   (what `--requests` said), `first_seen`, `last_seen`, `culprits` (array, the first is the
//!   worst), `culprits_total`, `victims`, `bystanders` (`{fingerprints, count}`), `others` (array,
//!   filled by `--all`), `process_events`, `died` (requests in flight when their process died), `ends_without_fingerprint`. Each of an array: `rank`,
//!   `fingerprint`, `class`, `role`, `roles` (requests with lines, by role), `confidence`,
//!   `culprit`, `peer` (`{name, address, port, inferred}`) and `waiting_for` as the surest verdict
//!   has them, and of those the last, `routes` (`{method, route, requests}`, the most frequent first),
//!   `count`, `per_million`, `requests` (those with lines), `ended`, `total_ms`, `longest_ms`,
//!   `first_seen`, `last_seen`, `services` and `hosts` (16 at most), `hosts_total`, `processes`,
//!   `last_id` (what to `show`). Unknown is `null`.
//! - `show`: `format` (`"redhanded-show/1"`), `id`, `report` (the fullest record, as in the log),
//!   `ended` (the record of its end, or `null`), `lines` (`{event, time, file, line, offset}`).
//! - `explain`: `format` (`"redhanded-explain/1"`), `files`, `lines`, `records`, `skipped`,
//!   `fingerprint`, `class`, `culprit` and `route` (of the last), `culprits`, `culprits_left_out`,
//!   `others` (not compared: victims, bystanders), `processes`, `first_seen`, `last_seen`, `last_id`,
//!   `normal` (requests that they were compared with), `compared` (features that it is corrected
//!   for), `shared` (array as `verdict.params` in the log: `name`, `kind`, `value`, `with`, `of`,
//!   `baseline_with`, `baseline_of`, `p`; empty if chance explains it), `hints` (array, only where
//!   nothing is shared: the same with `text` and `culprits_needed`, without `p`).
//! - `drill`: one object a line and case: `format` (`"redhanded-drill/1"`), `code`, `title`, `control` (nobody may be
//!   accused), `right`, `verdict` (the best on a culprit, as in the log), `verdict_after_ms` (beyond the
//!   threshold), `accused_wrongly` (array of texts), `failed` (why it could not be played, or `null`).
//! - `postmortem`: `format` (`"redhanded-postmortem/1"`), `file`, `service` and `boot_id` (of the machine), `state` (`lives`,
//!   `killed`, `shut_down`, or `copied` from a process that lives), `started` (when it made the file), `last_seen`, `synced`
//!   (what a power cut leaves; `null` if that was not asked for), `records`, `unrecorded` (requests that found no free
//!   record, ever), `unrecorded_now` (those in flight), `torn`, `torn_parts`, `requests` (array, the oldest first). Each of
//!   these: `method`, `url`, `route`, `params` (of a job), `started`, `elapsed_ms` (until `last_seen`), `slow_after_ms`,
//!   `phase`, `thread` (`{tid, name}`), `polls`, `peer` (`{kind, name, port, phase}`), `trace_id`, `span_id`,
//!   `parent_span_id`, `caught` (`{id, fingerprint, verdict}`, or `null`). What the watchdog had not seen yet is `null`.
//! - `tail`: the records as they are in the log, characters that could steer a terminal escaped.

mod args;
mod drill;
mod exit;
mod explain;
mod input;
mod lenient;
mod manual;
mod output;
mod postmortem;
mod record;
mod show;
mod sys;
mod tail;
mod top;

use args::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use output::Output;
use std::process::ExitCode;

/// Runs the command that this process's arguments ask for.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version are answers, too. When nobody reads them there is nobody to tell.
            let _ = answer.print();
            return if answer.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Fine.into()
            };
        }
    };
    let mut output = Output::new(arguments.color);
    let done = perform(&arguments.command, &mut output).and_then(|exit| {
        output.flush()?;
        Ok(exit)
    });
    match done {
        Ok(exit) => exit.into(),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Fine.into(),
        Err(error) => {
            output::complain(&format!("the output cannot be written: {error}"));
            Exit::Unreadable.into()
        }
    }
}

/// An error is one of writing; what cannot be read is said where it happens.
fn perform(command: &Command, output: &mut Output) -> std::io::Result<Exit> {
    match command {
        Command::Show(asked) => show::run(asked, output),
        Command::Explain(asked) => explain::run(asked, output),
        Command::Top(asked) => top::run(asked, output),
        Command::Tail(asked) => tail::run(asked, output),
        Command::Postmortem(asked) => postmortem::run(asked, output),
        Command::Drill(asked) => Ok(drill::run(asked)),
        Command::Completions { shell } => manual::completions(*shell, output),
        Command::Man { command } => manual::page(command.as_deref(), output),
    }
}
