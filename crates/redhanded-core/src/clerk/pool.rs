//! Whether a request waits for a thread of the blocking pool: nobody watches its closure, but the pool is full. Pure.

use redhanded_report::{Class, Confidence, Report, Role, Verdict, WaitKind, WaitingFor};

/// Says who keeps the threads from the request `id`, which has no child that can be seen and waits for a task.
/// `threads` are those of a blocking pool that does not begin what it is given.
///
/// The pool takes closures in their order. Whether a closure runs cannot be seen from outside; but if as many as there
/// are threads came before it and wait still, theirs have the threads.
pub(super) fn queue<'a>(
    verdict: &mut Verdict,
    id: &str,
    threads: u32,
    others: impl Iterator<Item = &'a Report>,
) {
    if !waits_for_a_task(verdict) || threads == 0 {
        return;
    }
    let waits = |r: &&Report| {
        let theirs = r.verdict.as_ref();
        r.id.as_str() < id && theirs.is_some_and(|v| v.role == Role::Culprit && waits_for_a_task(v))
    };
    // By id, which sorts by time.
    let mut before: Vec<&Report> = others.filter(waits).collect();
    before.sort_by(|a, b| a.id.cmp(&b.id));
    verdict.confidence = Confidence::Suspected;
    match before.first() {
        Some(first) if before.len() >= threads as usize => {
            verdict.class = Class::Starved;
            verdict.role = Role::Victim;
            verdict.cause += &format!(
                "; the blocking pool begins nothing new, and {} requests that wait alike came before it, as many as the pool has threads ({threads}): its closure may not have begun",
                before.len()
            );
            verdict.culprit = None;
            verdict.victim_of = Some(first.id.clone());
            verdict.holder = Some(first.id.clone());
            verdict.waiting_for = Some(WaitingFor::new(
                WaitKind::BlockingPool,
                "a thread of the blocking pool",
            ));
        }
        _ => {
            verdict.cause += &format!(
                "; the blocking pool begins nothing new, all its threads ({threads}) are taken: if it waits for a closure, whether that has begun is not known"
            );
        }
    }
}

fn waits_for_a_task(verdict: &Verdict) -> bool {
    let kind = verdict.waiting_for.as_ref().map(|waits| waits.kind);
    verdict.class == Class::StuckAwait
        && matches!(kind, Some(WaitKind::Task | WaitKind::BlockingPool))
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use redhanded_report::Event;

    fn waiter(kind: WaitKind) -> Verdict {
        let mut verdict = Verdict::new(
            Class::StuckAwait,
            Role::Culprit,
            Confidence::Likely,
            "pending",
        );
        verdict.waiting_for = Some(WaitingFor::new(kind, "tokio::task::JoinHandle"));
        verdict
    }

    fn all(kind: WaitKind, ids: &[&str]) -> Vec<Report> {
        let report = |id: &&str| {
            let mut report = Report::new(Event::Caught, *id);
            report.verdict = Some(waiter(kind));
            report
        };
        ids.iter().map(report).collect()
    }

    fn queued(id: &str, threads: u32, others: &[Report]) -> Verdict {
        let mut verdict = waiter(WaitKind::Task);
        queue(&mut verdict, id, threads, others.iter());
        verdict
    }

    /// As recorded with four threads: four exports, then a thumbnail.
    #[test]
    fn who_came_when_all_threads_were_taken_is_a_victim() {
        let exports = all(WaitKind::Task, &["01D", "01B", "01A", "01C"]);
        let verdict = queued("01E", 4, &exports);
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::Starved, Role::Victim, Confidence::Suspected)
        );
        assert_eq!(verdict.holder.as_deref(), Some("01A"));
        assert_eq!(verdict.victim_of, verdict.holder);
        let kind = verdict.waiting_for.map(|waits| waits.kind);
        assert_eq!(kind, Some(WaitKind::BlockingPool));
    }

    #[test]
    fn who_may_have_a_thread_stays_suspected() {
        let verdict = queued(
            "01D",
            4,
            &all(WaitKind::Task, &["01A", "01B", "01C", "01E"]),
        );
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::StuckAwait, Role::Culprit, Confidence::Suspected)
        );
        assert!(verdict.cause.contains("is not known"), "{}", verdict.cause);
    }

    #[test]
    fn who_waits_for_something_else_has_no_thread_of_the_pool() {
        let verdict = queued("01E", 1, &all(WaitKind::Channel, &["01A"]));
        assert_eq!(verdict.role, Role::Culprit);
        let mut victim = all(WaitKind::Task, &["01A"]);
        victim[0].verdict.as_mut().expect("above").role = Role::Victim;
        assert_eq!(queued("01E", 1, &victim).role, Role::Culprit);
        let mut other = waiter(WaitKind::Lock);
        queue(&mut other, "01E", 1, all(WaitKind::Task, &["01A"]).iter());
        assert_eq!(
            (other.role, other.confidence),
            (Role::Culprit, Confidence::Likely)
        );
    }
}
