//! Why an exporter could not be made.

use std::fmt;

/// Why an exporter could not be made.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    Endpoint(String),
    Spool(String),
    Start(String),
}

impl Error {
    pub(crate) fn endpoint(what: impl Into<String>) -> Self {
        Self(Kind::Endpoint(what.into()))
    }

    pub(crate) fn spool(what: impl Into<String>) -> Self {
        Self(Kind::Spool(what.into()))
    }

    pub(crate) fn start(what: impl Into<String>) -> Self {
        Self(Kind::Start(what.into()))
    }

    /// The endpoint is not a URL that this build can send to.
    pub fn is_endpoint(&self) -> bool {
        matches!(self.0, Kind::Endpoint(_))
    }

    /// The directory cannot be a spool.
    pub fn is_spool(&self) -> bool {
        matches!(self.0, Kind::Spool(_))
    }

    /// The exporter could not be built, or its thread or runtime not be started.
    pub fn is_start(&self) -> bool {
        matches!(self.0, Kind::Start(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Endpoint(what) | Kind::Spool(what) => f.write_str(what),
            Kind::Start(what) => write!(f, "cannot start the OTLP exporter: {what}"),
        }
    }
}

impl std::error::Error for Error {}
