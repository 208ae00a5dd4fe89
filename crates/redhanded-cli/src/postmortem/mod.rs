//! `redhanded postmortem`: what a flight recorder's file tells.

mod json;
mod life;
mod text;

use crate::args::Postmortem;
use crate::exit::Exit;
use crate::input::name_of;
use crate::output::{Output, complain};
use life::Life;
use redhanded_report::recorder::layout::{MOST_RECORDS, file_bytes};
use redhanded_report::recorder::{Recording, read};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// How often the file of a process that lives is read anew while some of its records are being written.
const READINGS: u32 = 5;

pub(crate) fn run(asked: &Postmortem, output: &mut Output) -> io::Result<Exit> {
    let name = name_of(&asked.file);
    let (recording, life) = match look(&asked.file) {
        Ok(found) => found,
        Err(why) => {
            complain(&format!("{name}: {why}"));
            return Ok(Exit::Unreadable);
        }
    };
    if asked.json {
        json::print(&name, &recording, life, output)?;
    } else {
        text::print(&recording, life, output)?;
    }
    Ok(if recording.requests.is_empty() {
        Exit::Nothing
    } else {
        Exit::Fine
    })
}

/// What the file tells, and whether its process lives.
fn look(path: &Path) -> Result<(Recording, Life), String> {
    let file = open(path).map_err(|error| error.to_string())?;
    let mut recording = whole(&file)?;
    let life = Life::of(&file, &recording.header);
    // What is being written now is whole a moment later.
    for _ in 1..READINGS {
        if life != Life::Lives || recording.torn + recording.torn_parts == 0 {
            break;
        }
        let again = whole(&open(path).map_err(|error| error.to_string())?)?;
        if again.torn + again.torn_parts <= recording.torn + recording.torn_parts {
            recording = again;
        }
    }
    Ok((recording, life))
}

fn open(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::other(
            "is a directory; name the flight recorder's file in it",
        ));
    }
    if !found.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    File::open(path)
}

fn whole(file: &File) -> Result<Recording, String> {
    let longest = file_bytes(MOST_RECORDS) as u64;
    let mut bytes = Vec::new();
    file.take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    read(&bytes).map_err(|refused| refused.to_string())
}
