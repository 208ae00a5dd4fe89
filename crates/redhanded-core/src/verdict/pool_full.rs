//! Closures wait for a thread of the blocking pool.

use super::spoken;
use redhanded_report::{Class, Confidence, Role, Verdict, WaitKind, WaitingFor};

/// How many of those who have the threads are named.
const NAMED: usize = 4;

/// A blocking pool that does not begin what it is given, and who has its threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PoolFull {
    /// Closures of requests that wait; there may be more that nobody tells of.
    pub(crate) waiting: u64,
    /// For how long the first of them has waited, in milliseconds.
    pub(crate) for_ms: f64,
    /// The requests that have threads, those first that have had them longest; each with how long, in milliseconds.
    pub(crate) holders: Vec<(String, f64)>,
    /// Threads that run closures of requests.
    pub(crate) held: u32,
    /// Threads of the pool, as far as that can be told.
    pub(crate) threads: Option<u32>,
}

/// Who has the threads. Those who wait have records of their own.
pub(crate) fn judge_pool_full(seen: &PoolFull) -> Verdict {
    let all_known = seen.held > 0 && seen.threads.is_some_and(|threads| threads <= seen.held);
    let confidence = if all_known {
        Confidence::Proved
    } else {
        Confidence::Likely
    };
    let mut verdict = Verdict::new(
        Class::PoolWait,
        Role::Bystander,
        confidence,
        cause(seen, all_known),
    );
    verdict.waiting_for = Some(WaitingFor::new(
        WaitKind::BlockingPool,
        "a thread of the blocking pool",
    ));
    let holder = seen.holders.first().map(|(id, _)| id.clone());
    verdict.holder = Some(holder.unwrap_or_else(|| "nobody found".to_owned()));
    verdict.victims = Some(seen.waiting);
    verdict
}

fn cause(seen: &PoolFull, all_known: bool) -> String {
    let (plural, verb) = if seen.waiting == 1 {
        ("", "waits")
    } else {
        ("s", "wait")
    };
    let mut cause = format!(
        "{} closure{plural} {verb} for a thread of the blocking pool, the first for {}",
        seen.waiting,
        spoken(seen.for_ms)
    );
    cause += &match (seen.threads, seen.held) {
        (_, held) if all_known => format!("; closures of requests have all of its {held} threads"),
        (Some(threads), held) => {
            format!("; closures of requests have {held} of some {threads} threads")
        }
        (None, 0) => "; who has its threads is not known".to_owned(),
        (None, held) => format!("; closures of requests have {held} threads"),
    };
    for (at, (id, for_ms)) in seen.holders.iter().take(NAMED).enumerate() {
        let lead = if at == 0 { ", those longest of" } else { "," };
        cause += &format!("{lead} {id} for {}", spoken(*for_ms));
    }
    cause
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As recorded with two threads.
    fn two() -> PoolFull {
        PoolFull {
            waiting: 1,
            for_ms: 520.0,
            holders: vec![("01A".into(), 900.0), ("01B".into(), 800.0)],
            held: 2,
            threads: Some(2),
        }
    }

    #[test]
    fn who_has_all_threads_is_proved() {
        let verdict = judge_pool_full(&two());
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::PoolWait, Role::Bystander, Confidence::Proved)
        );
        assert_eq!(
            verdict.cause,
            "1 closure waits for a thread of the blocking pool, the first for 520 ms; closures of requests have all of its 2 threads, those longest of 01A for 900 ms, 01B for 800 ms"
        );
        assert_eq!(
            (verdict.holder.as_deref(), verdict.victims),
            (Some("01A"), Some(1))
        );
    }

    #[test]
    fn what_others_run_there_is_not_known() {
        let mut seen = two();
        (seen.threads, seen.waiting) = (Some(512), 7);
        let verdict = judge_pool_full(&seen);
        assert_eq!(verdict.confidence, Confidence::Likely);
        assert!(
            verdict.cause.contains("7 closures wait")
                && verdict.cause.contains("2 of some 512 threads"),
            "{}",
            verdict.cause
        );
        (seen.threads, seen.held) = (None, 0);
        seen.holders.clear();
        assert_eq!(
            judge_pool_full(&seen).holder.as_deref(),
            Some("nobody found")
        );
    }

    proptest! {
        #[test]
        fn nothing_is_proved_unless_every_thread_is_known(
            waiting: u64, for_ms: f64, held: u32, threads: Option<u32>,
            holders in proptest::collection::vec((any::<String>(), any::<f64>()), 0..6),
        ) {
            let verdict = judge_pool_full(&PoolFull { waiting, for_ms, holders, held, threads });
            prop_assert_eq!(verdict.role, Role::Bystander);
            if verdict.confidence == Confidence::Proved {
                prop_assert!(held > 0 && threads.is_some_and(|threads| threads <= held));
            }
        }
    }
}
