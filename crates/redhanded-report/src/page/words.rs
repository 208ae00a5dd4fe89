//! The words that stand in JSON, for the types that have no `as_str` of their own.

use crate::{Action, Event, How, Phase, WaitKind};

pub(super) fn event(event: Event) -> &'static str {
    match event {
        Event::Caught => "caught",
        Event::Updated => "updated",
        Event::Symbolized => "symbolized",
        Event::Ended => "ended",
        Event::Died => "died",
        Event::Process => "process",
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::RequestBody => "request_body",
        Phase::Handler => "handler",
        Phase::ResponseBody => "response_body",
        Phase::Job => "job",
    }
}

pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::None => "none",
        Action::Cancelled => "cancelled",
        Action::Refused => "refused",
        Action::Drained => "drained",
        Action::Exited => "exited",
    }
}

pub(super) fn how(how: How) -> &'static str {
    match how {
        How::Completed => "completed",
        How::Dropped => "dropped",
        How::ClientGone => "client_gone",
        How::Cancelled => "cancelled",
        How::Panicked => "panicked",
    }
}

pub(super) fn wait_kind(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Lock => "lock",
        WaitKind::Channel => "channel",
        WaitKind::Semaphore => "semaphore",
        WaitKind::Timer => "timer",
        WaitKind::Task => "task",
        WaitKind::BlockingPool => "blocking_pool",
        WaitKind::Socket => "socket",
        WaitKind::File => "file",
        WaitKind::Child => "child",
        WaitKind::Client => "client",
        WaitKind::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::{action, event, how, phase, wait_kind};
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
            assert_eq!(event(one), json(one));
        }
        for one in [
            Phase::RequestBody,
            Phase::Handler,
            Phase::ResponseBody,
            Phase::Job,
        ] {
            assert_eq!(phase(one), json(one));
        }
        for one in [
            Action::None,
            Action::Cancelled,
            Action::Refused,
            Action::Drained,
            Action::Exited,
        ] {
            assert_eq!(action(one), json(one));
        }
        for one in [
            How::Completed,
            How::Dropped,
            How::ClientGone,
            How::Cancelled,
            How::Panicked,
        ] {
            assert_eq!(how(one), json(one));
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
            assert_eq!(wait_kind(one), json(one));
        }
    }
}
