//! Why a task did not succeed.

use std::fmt;
use std::process::ExitCode;

/// A promise that is not kept (exit code 1), or a command line that is not understood (2).
#[derive(Debug)]
pub(crate) enum Failure {
    Broken(String),
    Usage(String),
}

impl Failure {
    pub(crate) fn broken(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }

    pub(crate) fn usage(why: impl Into<String>) -> Self {
        Self::Usage(why.into())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Broken(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) | Self::Usage(why) => f.write_str(why),
        }
    }
}
