//! `redhanded tail`: follows a log, one line per runaway.

mod follow;
mod history;

use crate::args::Tail;
use crate::exit::Exit;
use crate::input::{self, Warnings, is_stdin, name_of};
use crate::output::{Output, complain, safe_json};
use crate::record::Record;
use crate::{lenient, record, sys};
use follow::{Follow, Happened};
use redhanded_report::{Role, headline, shown};
use std::io;
use std::time::Duration;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Returns when the log cannot be followed or the reader of the output has gone away; a signal ends
/// the process, and finds nothing that was read and not written.
pub(crate) fn run(asked: &Tail, output: &mut Output) -> io::Result<Exit> {
    if is_stdin(&asked.file) {
        return pass(asked, output);
    }
    let name = name_of(&asked.file);
    if let Err(why) = follow::check(&asked.file) {
        complain(&format!("{name}: {why}"));
        return Ok(Exit::Unreadable);
    }
    let mut warnings = Warnings::new(&name);
    let mut follow = Follow::new(&asked.file, asked.lines);
    loop {
        while let Some(happened) = follow.next() {
            match happened {
                Happened::Line { bytes, at } => match record::parse(&bytes) {
                    Ok(record) => {
                        warnings.look_at(&record);
                        print(&record, &bytes, asked, output)?;
                    }
                    Err(_) if bytes.trim_ascii().is_empty() => {}
                    Err(why) => warnings.skip(at, &why),
                },
                Happened::TooLong { at } => warnings.skip(at, "longer than 16 MiB"),
                Happened::News(text) => complain(&format!("{name}: {text}")),
            }
        }
        output.flush()?;
        sys::wait(EVERY)?;
    }
}

/// Standard input has an end, and no other name to come back under.
fn pass(asked: &Tail, output: &mut Output) -> io::Result<Exit> {
    let summary = input::read(std::slice::from_ref(&asked.file), |found| {
        print(&found.record, found.line, asked, output)?;
        output.flush()
    })?;
    Ok(match (summary.unreadable, summary.records) {
        (true, _) => Exit::Unreadable,
        (false, 0) => Exit::Nothing,
        (false, _) => Exit::Fine,
    })
}

fn print(record: &Record<'_>, line: &[u8], asked: &Tail, output: &mut Output) -> io::Result<()> {
    // A second look at the same request says little that is new; names for its stack do.
    if &*record.event == "updated" && !asked.all {
        return Ok(());
    }
    if asked.json {
        return output.line(&safe_json(&String::from_utf8_lossy(line)));
    }
    let Some(read) = lenient::report(line) else {
        let line = format!("{} {} [{}]", &*record.time, &*record.event, &*record.id);
        return output.line(&shown(&line));
    };
    let ink = match read.report.verdict.as_ref().map(|verdict| verdict.role) {
        Some(Role::Culprit) => "1;31",
        Some(Role::Victim) => "33",
        _ => "2",
    };
    let mut text = headline(&read.report);
    if !read.unknown.is_empty() {
        text.push_str(&shown(&format!(
            " (not known here: {})",
            read.unknown.join(", ")
        )));
    }
    let text = output.inked(ink, &text);
    output.line(&text)
}
