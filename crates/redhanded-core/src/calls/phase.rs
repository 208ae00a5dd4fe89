//! The phases of an outbound call.

use serde::{Deserialize, Serialize};

/// Where an outbound call is. The names are those of `verdict.peer.phase` in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallPhase {
    /// Waits for a connection of a pool.
    Pool,
    /// Waits for the addresses of a name.
    Dns,
    /// Waits for a connection to an address.
    Connect,
    /// Waits for the TLS handshake.
    Tls,
    /// Sends what it asks.
    Write,
    /// Waits for the beginning of the answer; of whatever protocol.
    WaitHeaders,
    /// Reads the rest of the answer.
    ReadBody,
}

/// How many phases there are.
pub(crate) const PHASES: usize = 7;

impl CallPhase {
    /// All of them, in the order of a call's life.
    pub const ALL: [Self; PHASES] = [
        Self::Pool,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Write,
        Self::WaitHeaders,
        Self::ReadBody,
    ];

    /// The name as it stands in reports, such as `wait_headers`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Write => "write",
            Self::WaitHeaders => "wait_headers",
            Self::ReadBody => "read_body",
        }
    }

    /// There is no connection yet.
    pub(crate) fn is_before_connected(self) -> bool {
        matches!(self, Self::Pool | Self::Dns | Self::Connect | Self::Tls)
    }

    /// As a number, 1 for the first; 0 is no phase.
    pub(crate) fn number(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_zero_is_none() {
        for phase in CallPhase::ALL {
            assert_eq!(CallPhase::from_number(phase.number()), Some(phase));
        }
        assert_eq!(CallPhase::from_number(0), None);
        assert_eq!(CallPhase::from_number(PHASES as u8 + 1), None);
    }
}
