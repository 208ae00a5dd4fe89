//! `redhanded top`: culprits ranked over any number of logs and hosts.

mod group;
mod looks;
mod rank;
mod tally;
mod text;

use crate::args::Top;
use crate::exit::Exit;
use crate::input;
use crate::output::{Output, complain, safe_json};
use std::io;
use tally::{Tally, Window};

pub(crate) fn run(asked: &Top, output: &mut Output) -> io::Result<Exit> {
    let mut tally = Tally::new(Window {
        since: asked.since,
        until: asked.until,
    });
    let summary = input::read(&asked.files, |found| {
        tally.add(&found.record);
        Ok(())
    })?;
    let ranking = rank::rank(tally, &summary, asked);
    if asked.json {
        let json = serde_json::to_string(&ranking)?;
        output.line(&safe_json(&json))?;
    } else {
        text::print(&ranking, asked, output)?;
    }
    output.flush()?;
    if ranking.is_empty() && !summary.unreadable && !asked.json {
        complain(match summary.records {
            0 => "no record of a runaway in what was read",
            _ => "no culprit among the runaways that were read",
        });
    }
    Ok(match (summary.unreadable, ranking.is_empty()) {
        (true, _) => Exit::Unreadable,
        (false, true) => Exit::Nothing,
        (false, false) => Exit::Fine,
    })
}
