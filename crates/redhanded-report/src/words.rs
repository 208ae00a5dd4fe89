//! The words of the record, as they stand in JSON.

use crate::{Action, Event, How, Phase, WaitKind};

impl Event {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Updated => "updated",
            Self::Symbolized => "symbolized",
            Self::Ended => "ended",
            Self::Died => "died",
            Self::Process => "process",
        }
    }
}

impl Phase {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestHead => "request_head",
            Self::RequestBody => "request_body",
            Self::Handler => "handler",
            Self::ResponseBody => "response_body",
            Self::Job => "job",
        }
    }
}

impl Action {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Drained => "drained",
            Self::Exited => "exited",
        }
    }
}

impl How {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Dropped => "dropped",
            Self::ClientGone => "client_gone",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
        }
    }
}

impl WaitKind {
    /// The name as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Channel => "channel",
            Self::Semaphore => "semaphore",
            Self::Timer => "timer",
            Self::Task => "task",
            Self::BlockingPool => "blocking_pool",
            Self::Socket => "socket",
            Self::File => "file",
            Self::Child => "child",
            Self::Client => "client",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Action, Event, How, Phase, WaitKind};

    fn json(value: impl serde::Serialize) -> String {
        serde_json::to_value(value)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn they_are_the_words_in_json() {
        for one in [
            Event::Caught,
            Event::Updated,
            Event::Symbolized,
            Event::Ended,
            Event::Died,
            Event::Process,
        ] {
            assert_eq!(one.as_str(), json(one));
        }
        for one in [
            Phase::RequestHead,
            Phase::RequestBody,
            Phase::Handler,
            Phase::ResponseBody,
            Phase::Job,
        ] {
            assert_eq!(one.as_str(), json(one));
        }
        for one in [
            Action::None,
            Action::Cancelled,
            Action::Refused,
            Action::Drained,
            Action::Exited,
        ] {
            assert_eq!(one.as_str(), json(one));
        }
        for one in [
            How::Completed,
            How::Dropped,
            How::ClientGone,
            How::Cancelled,
            How::Panicked,
        ] {
            assert_eq!(one.as_str(), json(one));
        }
        use WaitKind::{
            BlockingPool, Channel, Child, Client, File, Lock, Other, Semaphore, Socket, Task, Timer,
        };
        for one in [
            BlockingPool,
            Channel,
            Child,
            Client,
            File,
            Lock,
            Other,
            Semaphore,
            Socket,
            Task,
            Timer,
        ] {
            assert_eq!(one.as_str(), json(one));
        }
    }
}
