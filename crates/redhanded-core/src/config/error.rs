//! Why an install did not happen.

/// Why an install did not happen. The message names what was wrong and what is accepted.
#[derive(Debug)]
pub struct Error {
    message: String,
    source: Option<std::io::Error>,
}

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }
    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        Self {
            message: message.into(),
            source: Some(source),
        }
    }

    /// An error about a setting, for those who configure parts that this crate does not know.
    pub fn setting(message: impl Into<String>) -> Self {
        Self::config(message)
    }

    /// A thread that is needed could not be started.
    pub fn thread(source: std::io::Error) -> Self {
        Self::io("a thread could not be started", source)
    }

    /// A setting was wrong, as opposed to something that the system refused.
    pub fn is_config(&self) -> bool {
        self.source.is_none()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}
