//! Where files cannot be mapped and locked as on Unix there is no flight recorder, and whoever asks for one is told.

use super::Recorder;
use crate::config::{Error, FlightRecorder};
use crate::redact::Redactor;
use redhanded_report::Service;
use redhanded_report::recorder::Recording;

/// What a start has found and made.
pub(crate) struct Opened {
    pub(crate) recorder: Recorder,
    pub(crate) untold: Vec<Untold>,
    pub(crate) notes: Vec<String>,
}

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(crate) died: usize,
}

impl Untold {
    pub(crate) fn read(&self) -> Result<Recording, String> {
        Err("not on this system".to_owned())
    }
}

/// # Errors
///
/// Always.
pub(crate) fn open(asked: &FlightRecorder, _: &Service, _: Redactor) -> Result<Opened, Error> {
    Err(Error::setting(format!(
        "{} is not accepted on this system: the flight recorder needs Unix; give off",
        asked.said()
    )))
}

pub(crate) fn rotate_told(_: &Untold) {}
