//! In which order logs are read: a rotated log's files are named the newest first.

use super::source::is_stdin;
use super::{Lines, Piece, Source, name_of};
use crate::output::complain;
use crate::sys;
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};

/// How many lines are looked at to find one with a time.
const LINES: usize = 16;

/// `files`, each once, by the time of their first record; those that have none come last, as named.
pub(super) fn oldest_first(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut once = each_once(files);
    if once.len() > 1 {
        once.sort_by_cached_key(|path| {
            let time = first_time(path);
            (time.is_none(), time)
        });
    }
    once
}

fn each_once(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = std::collections::HashSet::new();
    let mut once: Vec<PathBuf> = Vec::new();
    for path in files {
        let identity =
            (!is_stdin(path)).then(|| fs::metadata(path).ok().as_ref().and_then(sys::identity));
        let new = match identity.flatten() {
            Some(identity) => seen.insert(identity),
            None => !once.contains(path),
        };
        if new {
            once.push(path.clone());
        } else {
            complain(&format!("{}: named twice, read once", name_of(path)));
        }
    }
    once
}

fn first_time(path: &Path) -> Option<Timestamp> {
    // What a pipe gives once it does not give again.
    if is_stdin(path) || !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut lines = Lines::new(Source::open(path).ok()?.reader);
    for _ in 0..LINES {
        let (Piece::Line { bytes, .. } | Piece::Torn { bytes, .. }) = lines.next().ok()?? else {
            continue;
        };
        let time = crate::record::parse(bytes)
            .ok()
            .and_then(|record| record.timestamp());
        if time.is_some() {
            return time;
        }
    }
    None
}
