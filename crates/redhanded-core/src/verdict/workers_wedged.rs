//! No worker of a runtime turns to another task.

use super::spoken;
use redhanded_report::{Class, Confidence, Role, Verdict};

/// How many of those who stand are named.
const NAMED: usize = 4;

/// A runtime whose workers have not moved for a while, and where they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wedged {
    /// How many workers it has.
    pub(crate) workers: u32,
    /// For how long none of them has parked or turned to another task, in milliseconds.
    pub(crate) for_ms: f64,
    /// Those that stand, as far as it was seen where; the longest first.
    pub(crate) stand: Vec<Stands>,
    /// Requests in flight that are in none of their polls.
    pub(crate) waiting: u64,
}

/// Where one worker stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stands {
    /// Name of the thread, or its id.
    pub(crate) thread: String,
    /// The request whose poll it is in; `None` in a task that nobody watches.
    pub(crate) request: Option<String>,
    /// For how long, in milliseconds.
    pub(crate) for_ms: f64,
    /// It sleeps in the kernel, or it is on the CPU; `None` if that could not be seen.
    pub(crate) asleep: Option<bool>,
}

/// What keeps them. Whoever does has a record of its own, if it is a request; here all are late.
pub(crate) fn judge_wedged(seen: &Wedged) -> Verdict {
    let in_requests = seen.stand.iter().filter(|s| s.request.is_some());
    let all_known = seen.workers > 0 && in_requests.clone().count() >= seen.workers as usize;
    let confidence = if all_known {
        Confidence::Proved
    } else if !seen.stand.is_empty() {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    let mut verdict = Verdict::new(class(&seen.stand), Role::Bystander, confidence, cause(seen));
    verdict.holder = in_requests.clone().find_map(|s| s.request.clone());
    verdict.victims = Some(seen.waiting);
    verdict
}

/// That of most of them.
fn class(stand: &[Stands]) -> Class {
    let count = |asleep| stand.iter().filter(|s| s.asleep == Some(asleep)).count();
    match (count(true), count(false)) {
        (0, 0) => Class::Unknown,
        (asleep, on_cpu) if asleep >= on_cpu => Class::BlockedThread,
        _ => Class::CpuLoop,
    }
}

fn cause(seen: &Wedged) -> String {
    let mut cause = match seen.workers {
        1 => "the only worker of a runtime has".to_owned(),
        workers => format!("none of the {workers} workers of a runtime has"),
    };
    cause += &format!(" turned to another task in {}", spoken(seen.for_ms));
    for stands in seen.stand.iter().take(NAMED) {
        cause += &format!("; {}", place(stands));
    }
    let (shown, known) = (seen.stand.len().min(NAMED), seen.workers as usize);
    if let Some(more) = known.checked_sub(shown).filter(|more| *more > 0) {
        cause += &format!("; {more} more");
    }
    if seen.waiting > 0 {
        let (plural, verb) = if seen.waiting == 1 {
            ("", "is")
        } else {
            ("s", "are")
        };
        cause += &format!(
            "; {} other request{plural} in flight {verb} late because of it",
            seen.waiting
        );
    }
    cause
}

fn place(stands: &Stands) -> String {
    let does = match stands.asleep {
        Some(true) => "sleeps in the kernel",
        Some(false) => "is on the CPU",
        None => "stands",
    };
    let whose = match &stands.request {
        Some(id) => format!("in a poll of {id}"),
        None => "in a task that is not watched".to_owned(),
    };
    format!(
        "{} {does} {whose} for {}",
        stands.thread,
        spoken(stands.for_ms)
    )
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stands(request: Option<&str>, asleep: Option<bool>) -> Stands {
        Stands {
            thread: "tokio-rt-worker".into(),
            request: request.map(str::to_owned),
            for_ms: 2100.0,
            asleep,
        }
    }

    /// As recorded with one loop and one sleep on two workers.
    fn two() -> Wedged {
        Wedged {
            workers: 2,
            for_ms: 2010.0,
            stand: vec![
                stands(Some("01SPIN"), Some(false)),
                stands(Some("01SLEEP"), Some(true)),
            ],
            waiting: 3,
        }
    }

    #[test]
    fn all_in_requests_is_proved_and_names_them() {
        let verdict = judge_wedged(&two());
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::BlockedThread, Role::Bystander, Confidence::Proved)
        );
        assert_eq!(
            verdict.cause,
            "none of the 2 workers of a runtime has turned to another task in 2.01 s; tokio-rt-worker is on the CPU in a poll of 01SPIN for 2.10 s; tokio-rt-worker sleeps in the kernel in a poll of 01SLEEP for 2.10 s; 3 other requests in flight are late because of it"
        );
        assert_eq!(
            (verdict.holder.as_deref(), verdict.victims),
            (Some("01SPIN"), Some(3))
        );
    }

    #[test]
    fn what_is_not_watched_is_likely_and_what_is_not_seen_suspected() {
        let mut seen = two();
        seen.stand[0] = stands(None, Some(false));
        assert_eq!(judge_wedged(&seen).confidence, Confidence::Likely);
        seen.stand.pop();
        let verdict = judge_wedged(&seen);
        assert_eq!((verdict.class, verdict.holder), (Class::CpuLoop, None));
        assert!(
            verdict.cause.contains("in a task that is not watched")
                && verdict.cause.contains("1 more"),
            "{}",
            verdict.cause
        );
        seen.stand.clear();
        let verdict = judge_wedged(&seen);
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::Unknown, Confidence::Suspected)
        );
    }

    proptest! {
        #[test]
        fn nothing_is_proved_unless_every_worker_is_in_a_request(
            workers: u32, for_ms: f64, waiting: u64,
            stand in proptest::collection::vec((any::<Option<String>>(), any::<Option<bool>>(), any::<f64>()), 0..6),
        ) {
            let stand: Vec<Stands> = stand.into_iter()
                .map(|(request, asleep, for_ms)| Stands { request, asleep, for_ms, ..Stands::default() })
                .collect();
            let known = stand.iter().filter(|s| s.request.is_some()).count();
            let verdict = judge_wedged(&Wedged { workers, for_ms, stand, waiting });
            prop_assert_eq!(verdict.role, Role::Bystander);
            if verdict.confidence == Confidence::Proved {
                prop_assert!(workers > 0 && known >= workers as usize);
            }
        }
    }
}
