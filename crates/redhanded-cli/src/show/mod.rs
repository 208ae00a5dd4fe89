//! `redhanded show`: all that the logs say of one runaway.

mod case;
mod search;

use crate::args::Show;
use crate::exit::Exit;
use crate::input::{self, Summary};
use crate::lenient;
use crate::output::{Output, complain, safe_json};
use case::{Case, Line};
use redhanded_report::{headline, page, shown};
use search::{Answer, Search};
use serde::Serialize;
use serde_json::value::RawValue;
use std::io;

pub(crate) fn run(asked: &Show, output: &mut Output) -> io::Result<Exit> {
    if asked.id.is_empty() {
        complain("the id is empty; give its beginning at least");
        return Ok(Exit::Usage);
    }
    let mut search = Search::new(&asked.id);
    let summary = input::read(&asked.files, |found| {
        search.look_at(found);
        Ok(())
    })?;
    let exit = match search.answer() {
        Answer::One(case) if asked.json => json(&case, output).map(|()| Exit::Fine)?,
        Answer::One(case) => text(&case, output).map(|()| Exit::Fine)?,
        Answer::Nothing => {
            nothing(&asked.id, &summary);
            Exit::Nothing
        }
        Answer::Several { cases, more } => {
            several(&asked.id, &cases, more);
            Exit::Usage
        }
    };
    output.flush()?;
    Ok(if summary.unreadable {
        Exit::Unreadable
    } else {
        exit
    })
}

fn nothing(id: &str, summary: &Summary) {
    let read = summary.in_words();
    complain(&format!("no runaway {id:?}: {read}"));
}

fn several(id: &str, cases: &[Case], more: bool) {
    let count = if more { "more than " } else { "" };
    complain(&format!("{id:?} fits {count}{} runaways:", cases.len()));
    for case in cases {
        complain(&format!("  {}", case.first));
    }
}

fn text(case: &Case, output: &mut Output) -> io::Result<()> {
    let fullest = case.fullest();
    let Some(read) = lenient::report(fullest) else {
        complain("the record cannot be read as a report; shown as it is in the log");
        return output.line(&as_it_is(fullest));
    };
    if !read.unknown.is_empty() {
        complain(&format!(
            "words that this version does not know: {}",
            read.unknown.join(", ")
        ));
    }
    let mut report = read.report;
    if let Some(end) = case.end().and_then(lenient::report) {
        report.outcome = end.report.outcome;
    }
    if let Some(died) = case.died().and_then(lenient::report) {
        report.died = died.report.died;
        report.elapsed_ms = died.report.elapsed_ms.or(report.elapsed_ms);
    }
    output.text(&page(&report, output.style()))?;
    lines(
        case,
        report.outcome.is_some() || report.died.is_some(),
        output,
    )
}

/// Where everything was read, and whether that is all.
fn lines(case: &Case, ended: bool, output: &mut Output) -> io::Result<()> {
    let title = output.inked("2", "lines");
    output.line(&format!("\n{title}"))?;
    for Line {
        event,
        time,
        file,
        line,
        offset,
    } in &case.lines
    {
        let (event, time) = (shown(event), shown(time));
        output.line(&format!(
            "  {event:<11} {time} {file}, line {line}, byte {offset}"
        ))?;
    }
    if case.lines_total > case.lines.len() as u64 {
        let more = case.lines_total - case.lines.len() as u64;
        output.line(&format!("  and {more} more"))?;
    }
    if !ended {
        output.line("  no end in what was read")?;
    }
    Ok(())
}

/// Pretty if it is JSON, and safe in any case.
fn as_it_is(line: &[u8]) -> String {
    let pretty = serde_json::from_slice::<serde_json::Value>(line)
        .and_then(|value| serde_json::to_string_pretty(&value));
    let text = pretty.unwrap_or_else(|_| String::from_utf8_lossy(line).into_owned());
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[derive(Serialize)]
struct Answered<'a> {
    format: &'static str,
    id: &'a str,
    report: Box<RawValue>,
    ended: Option<Box<RawValue>>,
    lines: &'a [Line],
}

fn json(case: &Case, output: &mut Output) -> io::Result<()> {
    let raw = |line: &[u8]| {
        let text = String::from_utf8_lossy(line).into_owned();
        RawValue::from_string(text)
    };
    let answer = Answered {
        format: "redhanded-show/1",
        id: &case.id,
        report: raw(case.fullest())?,
        ended: case.end().map(raw).transpose()?,
        lines: &case.lines,
    };
    output.line(&safe_json(&serde_json::to_string(&answer)?))
}

/// How a candidate is listed.
fn first_line(line: &[u8], id: &str) -> String {
    lenient::report(line).map_or_else(|| shown(id), |read| headline(&read.report))
}
