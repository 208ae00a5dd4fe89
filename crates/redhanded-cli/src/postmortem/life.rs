//! Whether the process lives that a flight recorder's file is of.

use redhanded_report::recorder::{Header, State};
use std::fs::{self, File, TryLockError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has the file.
    Lives,
    /// It lives, and this is a copy of its file.
    Copied,
    /// It is dead, and was not shut down.
    Killed,
    /// It was shut down in good order.
    ShutDown,
}

impl Life {
    pub(super) fn of(file: &File, header: &Header) -> Self {
        // Who lives keeps it locked. Ours is given back at once, and a start that comes across it waits a moment.
        let is_locked = match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => false,
        };
        match header.state {
            _ if is_locked => Self::Lives,
            State::ShutDown => Self::ShutDown,
            _ if runs(header) => Self::Copied,
            _ => Self::Killed,
        }
    }

    /// As it stands in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lives => "lives",
            Self::Copied => "copied",
            Self::Killed => "killed",
            Self::ShutDown => "shut_down",
        }
    }

    /// As a person reads it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Lives => "lives",
            Self::Copied => "lives; this is a copy of its file",
            Self::Killed => "was killed, or ended without a shutdown",
            Self::ShutDown => "was shut down",
        }
    }
}

/// Whether this very process runs on this very machine, since the same boot: numbers are used again, with another start.
fn runs(header: &Header) -> bool {
    let digits = |text: String| {
        text.chars()
            .filter(char::is_ascii_hexdigit)
            .collect::<String>()
    };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map(digits);
    let Some(pid) = header
        .service
        .pid
        .filter(|_| boot.is_ok_and(|boot| boot == header.boot_id))
    else {
        return false;
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let started: Option<u64> = after_name
        .split_whitespace()
        .nth(19)
        .and_then(|ticks| ticks.parse().ok());
    header.started_ticks != 0 && started == Some(header.started_ticks)
}
