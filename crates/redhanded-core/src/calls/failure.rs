//! How an outbound call fails.

use super::CallPhase;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// How a call failed; the names are those of `evidence.outbound[].error` in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The name has no address, or the name server no answer.
    Dns,
    /// The host refused the connection, or its network could not be reached.
    Refused,
    /// The connection was reset or broke.
    Reset,
    /// Somebody's time-out, the kernel's among them.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The other end closed too early.
    Closed,
    /// Its own side gave it up: a time-out around it, or the end of its request.
    Dropped,
    /// Anything else.
    Other,
}

/// How many kinds there are.
pub(crate) const FAILURES: usize = 8;

impl Failure {
    /// All of them.
    pub const ALL: [Self; FAILURES] = [
        Self::Dns,
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Tls,
        Self::Closed,
        Self::Dropped,
        Self::Other,
    ];

    /// The name as it stands in reports, such as `refused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Dropped => "dropped",
            Self::Other => "other",
        }
    }

    /// What an error says, itself or what it was caused by, of a call that was in `phase`.
    ///
    /// ```
    /// use redhanded_core::{CallPhase, Failure};
    /// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    /// assert_eq!(Failure::of(&refused, Some(CallPhase::Connect)), Failure::Refused);
    /// ```
    pub fn of(error: &(dyn Error + 'static), phase: Option<CallPhase>) -> Self {
        const MOST_CAUSES: usize = 16;
        let causes = std::iter::successors(Some(error), |error| Error::source(*error));
        let told = causes
            .take(MOST_CAUSES)
            .find_map(|cause| Self::of_io(io_error(cause)?.kind()));
        match (phase, told) {
            (Some(CallPhase::Dns), None | Some(Self::Other)) => Self::Dns,
            (Some(CallPhase::Tls), None | Some(Self::Other | Self::Closed)) => Self::Tls,
            (_, told) => told.unwrap_or(Self::Other),
        }
    }

    fn of_io(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable => Some(Self::Refused),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Some(Self::Reset)
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Some(Self::Timeout),
            ErrorKind::UnexpectedEof => Some(Self::Closed),
            // Others wrap errors of their own in it, whose cause may say more.
            _ => None,
        }
    }

    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Clients whose errors can be cloned share them, and what is shared passes over itself as a cause.
fn io_error<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let shared = || cause.downcast_ref::<Arc<io::Error>>().map(AsRef::as_ref);
    let any = || {
        let any = cause.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
        any.downcast_ref::<io::Error>()
    };
    cause
        .downcast_ref::<io::Error>()
        .or_else(shared)
        .or_else(any)
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_is_found_below_others() {
        let reset = Outer(io::Error::from(ErrorKind::ConnectionReset));
        assert_eq!(Failure::of(&reset, None), Failure::Reset);
        let nested = io::Error::other(Outer(io::Error::from(ErrorKind::UnexpectedEof)));
        assert_eq!(Failure::of(&nested, None), Failure::Closed);
    }

    #[test]
    fn a_shared_cause_is_found_as_well() {
        #[derive(Debug)]
        struct Shared<E>(Arc<E>)
        where
            E: ?Sized;
        impl<E: ?Sized> std::fmt::Display for Shared<E> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("shared")
            }
        }
        impl Error for Shared<io::Error> {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        impl Error for Shared<dyn Error + Send + Sync> {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let reset = || io::Error::from(ErrorKind::ConnectionReset);
        assert_eq!(
            Failure::of(&Shared(Arc::new(reset())), None),
            Failure::Reset
        );
        let any: Shared<dyn Error + Send + Sync> = Shared(Arc::new(reset()));
        assert_eq!(Failure::of(&any, None), Failure::Reset);
    }

    #[test]
    fn where_the_error_says_nothing_the_phase_does() {
        let vague = io::Error::other("no such host");
        assert_eq!(Failure::of(&vague, Some(CallPhase::Dns)), Failure::Dns);
        assert_eq!(Failure::of(&vague, Some(CallPhase::Tls)), Failure::Tls);
        assert_eq!(Failure::of(&vague, Some(CallPhase::Write)), Failure::Other);
        let reset = io::Error::from(ErrorKind::ConnectionReset);
        assert_eq!(Failure::of(&reset, Some(CallPhase::Tls)), Failure::Reset);
    }

    #[test]
    fn numbers_come_back() {
        for failure in Failure::ALL {
            assert_eq!(Failure::from_number(failure.number()), Some(failure));
        }
        assert_eq!(Failure::from_number(FAILURES as u8), None);
    }
}
