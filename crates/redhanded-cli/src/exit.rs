//! How a command ends.

use std::process::ExitCode;

/// The exit codes, as `--help` and the manual page have them.
pub(crate) const CODES: [(Exit, &str); 4] = [
    (
        Exit::Fine,
        "fine; also when the reader of the output has gone away",
    ),
    (
        Exit::Nothing,
        "nothing found: no such id, no culprit, an empty log, nothing in flight; a drill in which one was missed",
    ),
    (
        Exit::Usage,
        "usage: an unknown option, an id or a fingerprint that fits more than one",
    ),
    (
        Exit::Unreadable,
        "a file could not be read or is none of ours, or the output not be written; what could be read is shown; no drill is there",
    ),
];

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Fine = 0,
    Nothing = 1,
    Usage = 2,
    Unreadable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
