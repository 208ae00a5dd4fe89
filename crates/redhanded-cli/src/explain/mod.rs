//! `redhanded explain`: what the culprits of one fingerprint have in common, over any number of
//! logs, days and processes.

mod finding;
mod gathered;
mod search;
mod text;

use crate::args::Explain;
use crate::exit::Exit;
use crate::input::{self, Summary};
use crate::output::{Output, complain, safe_json};
use finding::Finding;
use search::{Answer, Search};
use std::io;

pub(crate) fn run(asked: &Explain, output: &mut Output) -> io::Result<Exit> {
    if asked.fingerprint.is_empty() {
        complain("the fingerprint is empty; give its beginning at least");
        return Ok(Exit::Usage);
    }
    let mut search = Search::new(&asked.fingerprint);
    let summary = input::read(&asked.files, |found| {
        search.look_at(found);
        Ok(())
    })?;
    let exit = match search.answer() {
        Answer::One(gathered) => {
            let finding = Finding::of(*gathered, &summary);
            if asked.json {
                output.line(&safe_json(&serde_json::to_string(&finding)?))?;
            } else {
                text::print(&finding, output)?;
            }
            Exit::Fine
        }
        Answer::Nothing => {
            nothing(&asked.fingerprint, &summary);
            Exit::Nothing
        }
        Answer::Several { fingerprints, more } => {
            several(&asked.fingerprint, &fingerprints, more);
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

fn nothing(fingerprint: &str, summary: &Summary) {
    let read = summary.in_words();
    complain(&format!(
        "no culprit with the fingerprint {fingerprint:?}: {read}"
    ));
}

fn several(wanted: &str, fingerprints: &[String], more: bool) {
    let count = if more { "more than " } else { "" };
    let number = fingerprints.len();
    complain(&format!("{wanted:?} fits {count}{number} fingerprints:"));
    for fingerprint in fingerprints {
        complain(&format!("  {fingerprint}"));
    }
}
