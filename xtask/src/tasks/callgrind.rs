//! Counts instructions of one thread, by valgrind.

use crate::failure::Failure;
use crate::{run, tree};
use std::path::{Path, PathBuf};

/// Whose instructions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The main thread's, which is the one that serves the requests.
    Main,
    /// Those of all others.
    Others,
    /// Everybody's.
    All,
}

/// Instructions for each thing that the main thread of a bench does, with `around` in place: the bench is
/// run for `few` and for `many` of them.
pub(crate) fn instructions(
    bin: &str,
    around: &str,
    more: &[&str],
    counts: (u64, u64),
) -> Result<f64, Failure> {
    instructions_of(Threads::Main, bin, around, more, counts)
}

/// The same on those `threads`.
pub(crate) fn instructions_of(
    threads: Threads,
    bin: &str,
    around: &str,
    more: &[&str],
    (few, many): (u64, u64),
) -> Result<f64, Failure> {
    let of = |count| callgrind(threads, bin, around, count, more);
    let (for_few, for_many) = (of(few)?, of(many)?);
    Ok((for_many as f64 - for_few as f64) / (many - few) as f64)
}

/// Instructions of a whole run on those `threads`.
fn callgrind(
    threads: Threads,
    bin: &str,
    around: &str,
    count: u64,
    more: &[&str],
) -> Result<u64, Failure> {
    let bin = tree::target().join("release").join(bin);
    let count = count.to_string();
    let arguments = [&[around, &count], more].concat();
    let counted = count_run(None, &bin, &arguments)?;
    Ok(match threads {
        Threads::Main => counted.main,
        Threads::Others => counted.all - counted.main,
        Threads::All => counted.all,
    })
}

/// Instructions of a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// On its main thread.
    pub(crate) main: u64,
    /// On all of them.
    pub(crate) all: u64,
}

/// Counts what a program does until it ends; on its main thread only from the function `from` on, if there is one to say.
pub(crate) fn count_run(
    from: Option<&str>,
    bin: &Path,
    arguments: &[&str],
) -> Result<Counted, Failure> {
    let scratch = Scratch::new()?;
    let mut valgrind = run::program("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", "--separate-threads=yes"]);
    valgrind.args(from.map(|function| format!("--zero-before={function}")));
    let out = scratch.0.join("out");
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind
        .arg(bin)
        .args(arguments)
        .env("REDHANDED_LOG", "off");
    run::check(&mut valgrind)?;
    counted(&scratch.0)
}

/// A directory of this process alone, or two at once would read each other's figures.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let directory = tree::target().join(format!("callgrind.{}", std::process::id()));
        std::fs::create_dir_all(&directory)
            .map_err(|e| Failure::broken(format!("{}: {e}", directory.display())))?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in target/, where it harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Callgrind writes a file per thread, the first thread's ends in 01, and one that says nothing.
fn counted(directory: &Path) -> Result<Counted, Failure> {
    let in_place = |path: &Path, e| Failure::broken(format!("{}: {e}", path.display()));
    let mut counted = Counted::default();
    for entry in std::fs::read_dir(directory).map_err(|e| in_place(directory, e))? {
        let file = entry.map_err(|e| in_place(directory, e))?.path();
        let name = tree::file_name(&file);
        if !name.starts_with("out-") {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|e| in_place(&file, e))?;
        let total = total(&text)
            .ok_or_else(|| Failure::broken(format!("{} has no totals", file.display())))?;
        counted.all += total;
        if name == "out-01" {
            counted.main = total;
        }
    }
    if counted.main == 0 {
        return Err(Failure::broken(
            "callgrind wrote nothing of the main thread",
        ));
    }
    Ok(counted)
}

fn total(callgrind: &str) -> Option<u64> {
    let line = callgrind
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        assert_eq!(total("summary: 5\n\ntotals: 18241152\n"), Some(18_241_152));
        assert_eq!(total("nothing"), None);
    }
}
