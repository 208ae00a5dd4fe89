//! Connections wait and nobody accepts them.

use super::{Crowd, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

/// Connections that nobody has accepted for a while, and what those do who should.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NotAccepted {
    /// Where they wait.
    pub(crate) listener: String,
    /// How many wait.
    pub(crate) waiting: u32,
    /// How many may; `None` where that is not known, and `waiting` is then at least that many.
    pub(crate) limit: Option<u32>,
    /// For how long none was accepted, in milliseconds.
    pub(crate) for_ms: f64,
    /// When accept was polled last or left, in milliseconds ago; `None` if it was never called.
    pub(crate) polled_ms: Option<f64>,
    /// A task waits in accept.
    pub(crate) inside: bool,
    /// Why the last accept failed, if it did.
    pub(crate) error: Option<String>,
    /// The workers of the runtime that accepts.
    pub(crate) crowd: Crowd,
}

/// What is wrong there.
pub(crate) fn judge_not_accepted(seen: &NotAccepted) -> Verdict {
    let polled_meanwhile = seen.polled_ms.is_some_and(|ms| ms < seen.for_ms);
    let (class, confidence, why) = match (&seen.error, seen.polled_ms) {
        (Some(error), Some(ms)) if polled_meanwhile => {
            let why = format!("accept fails: {error}, the last time {} ago", spoken(ms));
            (Class::Unknown, Confidence::Proved, why)
        }
        (_, None) => {
            let why = "accept was never called".to_owned();
            (Class::Undriven, Confidence::Proved, why)
        }
        (_, Some(ms)) => {
            let ago = spoken(ms);
            let (confidence, now) = if seen.inside {
                (Confidence::Likely, "is in accept and is not woken")
            } else {
                (Confidence::Proved, "is not in accept now")
            };
            let why = format!("the accept loop was last polled {ago} ago and {now}");
            (Class::Undriven, confidence, why)
        }
    };
    let cause = format!("{}; {why}", waits(seen));
    let mut verdict = Verdict::new(class, Role::Bystander, confidence, cause);
    if class == Class::Undriven {
        blame_hog(&mut verdict, &seen.crowd);
    }
    verdict
}

fn waits(seen: &NotAccepted) -> String {
    let least = if seen.limit.is_none() {
        "at least "
    } else {
        ""
    };
    let plural = if seen.waiting == 1 {
        " waits"
    } else {
        "s wait"
    };
    let full = match seen.limit {
        Some(limit) if seen.waiting >= limit => format!(", as many as may ({limit})"),
        _ => String::new(),
    };
    format!(
        "{least}{} connection{plural} to be accepted at {}{full}, and none was accepted in {}",
        seen.waiting,
        seen.listener,
        spoken(seen.for_ms)
    )
}

/// Nobody can accept when every worker stands in somebody's poll.
fn blame_hog(verdict: &mut Verdict, crowd: &Crowd) {
    let Some(hog) = crowd.hog.as_ref().filter(|_| crowd.all_stand()) else {
        return;
    };
    verdict.role = Role::Victim;
    verdict.confidence = Confidence::Proved;
    verdict.victim_of = Some(hog.id.clone());
    verdict.holder = Some(hog.id.clone());
    verdict.cause += &format!(
        ": {} of {} workers stand in requests' polls, the longest ({}) for {}",
        crowd.standing,
        crowd.workers,
        hog.thread,
        spoken(hog.stood_ms)
    );
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use crate::verdict::Hog;

    fn stands_still() -> NotAccepted {
        NotAccepted {
            listener: "127.0.0.1:8080".into(),
            waiting: 37,
            limit: Some(4096),
            for_ms: 2100.0,
            polled_ms: Some(4100.0),
            ..NotAccepted::default()
        }
    }

    #[test]
    fn a_loop_that_stands_still_is_told_with_its_figures() {
        let verdict = judge_not_accepted(&stands_still());
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::Undriven, Role::Bystander, Confidence::Proved)
        );
        assert_eq!(
            verdict.cause,
            "37 connections wait to be accepted at 127.0.0.1:8080, and none was accepted in 2.10 s; the accept loop was last polled 4.10 s ago and is not in accept now"
        );
        let mut never = stands_still();
        never.polled_ms = None;
        (never.waiting, never.limit) = (1, None);
        let cause = judge_not_accepted(&never).cause;
        assert_eq!(
            cause,
            "at least 1 connection waits to be accepted at 127.0.0.1:8080, and none was accepted in 2.10 s; accept was never called"
        );
    }

    #[test]
    fn who_waits_in_accept_is_not_to_blame() {
        let mut seen = stands_still();
        seen.inside = true;
        assert_eq!(judge_not_accepted(&seen).confidence, Confidence::Likely);
        seen.crowd = Crowd {
            workers: 2,
            standing: 2,
            hog: Some(Hog {
                id: "01HOG".into(),
                ..Hog::default()
            }),
            ..Crowd::default()
        };
        let verdict = judge_not_accepted(&seen);
        assert_eq!(
            (verdict.role, verdict.victim_of.as_deref()),
            (Role::Victim, Some("01HOG"))
        );
        seen.crowd.standing = 1;
        assert_eq!(judge_not_accepted(&seen).victim_of, None, "one is free");
    }

    #[test]
    fn a_loop_that_turns_and_fails_says_why() {
        let mut seen = stands_still();
        (seen.polled_ms, seen.error) = (Some(400.0), Some("Too many open files".into()));
        let verdict = judge_not_accepted(&seen);
        assert_eq!(verdict.class, Class::Unknown);
        assert!(verdict.cause.contains("accept fails: Too many open files"));
        seen.polled_ms = Some(9000.0);
        assert_eq!(judge_not_accepted(&seen).class, Class::Undriven, "long ago");
    }

    #[test]
    fn a_full_queue_is_told() {
        let mut seen = stands_still();
        seen.limit = Some(37);
        let cause = judge_not_accepted(&seen).cause;
        assert!(cause.contains("as many as may (37)"), "{cause}");
    }
}
