//! What the children of a request add to its verdict: who waits for a child is as guilty as that.

use super::naming::{Named, Namer};
use super::refine;
use crate::case::ChildSeen;
use redhanded_report::{Class, Confidence, Report, Role, StackKind, Verdict, WaitKind};

const NOT_VISIBLE: &str = "children not visible: they would be, if they had been started by redhanded::spawn, spawn_blocking or in_current_request";

/// A child whose stacks have names.
pub(super) struct NamedChild {
    pub(super) named: Named,
    verdict: Verdict,
    stands: bool,
    pub(super) held_bytes: u64,
    /// For a sentence: `the task resize, spawned at src/a.rs:3:9`.
    pub(super) who: String,
}

/// Names the stacks of `children`; `others` gives the open cases that may hold what they wait for.
pub(super) fn name<'a, I: Iterator<Item = &'a Report>>(
    namer: &mut Namer,
    children: &[ChildSeen],
    others: impl Fn() -> I,
) -> Vec<NamedChild> {
    children
        .iter()
        .map(|child| {
            let mut named = namer.name(&child.stacks);
            for stack in &mut named.stacks {
                stack.kind = StackKind::Task;
                stack.name.clone_from(&child.name);
                stack.spawned_at.clone_from(&child.spawned_at);
            }
            let mut verdict = child.verdict.clone();
            refine::refine(&mut verdict, &named, child.samples, others());
            let name = child.name.as_ref().map(|name| format!(" {name}"));
            let who = format!(
                "the child{}, spawned at {}",
                name.unwrap_or_default(),
                child.spawned_at.as_deref().unwrap_or("an unknown place")
            );
            NamedChild {
                named,
                verdict,
                stands: child.stands,
                held_bytes: child.held_bytes,
                who,
            }
        })
        .collect()
}

/// Gives the verdict on a request that waits for one of its children that child's; says what could
/// not be seen of them. Pure.
pub(super) fn judge(verdict: &mut Verdict, children: &[NamedChild]) -> Option<String> {
    let kind = verdict.waiting_for.as_ref().map(|waits| waits.kind);
    let waits_for_a_task = verdict.class == Class::StuckAwait
        && matches!(kind, Some(WaitKind::Task | WaitKind::BlockingPool));
    if !waits_for_a_task {
        return None;
    }
    match children.iter().max_by_key(|child| guilt(child)) {
        Some(child) if child.verdict.class == Class::Unknown => {
            verdict.cause += &format!("; {}: {}", child.who, child.verdict.cause);
            None
        }
        Some(child) => {
            adopt(verdict, child, children.len());
            None
        }
        None => {
            verdict.cause += "; children not visible";
            Some(NOT_VISIBLE.to_owned())
        }
    }
}

/// Who of several is to blame: who stands in a poll rather than who waits, then who is surer.
fn guilt(child: &NamedChild) -> (bool, bool, Confidence) {
    let known = child.verdict.class != Class::Unknown;
    (child.stands, known, child.verdict.confidence)
}

fn adopt(verdict: &mut Verdict, child: &NamedChild, children: usize) {
    let theirs = &child.verdict;
    verdict.class = theirs.class;
    verdict.role = theirs.role;
    // Of several children, the one that it waits for may be another than the worst.
    let most = if children == 1 {
        Confidence::Proved
    } else {
        Confidence::Likely
    };
    verdict.confidence = theirs.confidence.min(most);
    verdict.cause = format!("waits for {}: {}", child.who, theirs.cause);
    verdict.culprit.clone_from(&theirs.culprit);
    verdict.peer.clone_from(&theirs.peer);
    if theirs.waiting_for.is_some() {
        verdict.waiting_for.clone_from(&theirs.waiting_for);
    }
    verdict.victim_of.clone_from(&theirs.victim_of);
    verdict.holder.clone_from(&theirs.holder);
    if theirs.role == Role::Victim {
        verdict.culprit = None;
    }
}

#[cfg(all(test, not(redhanded_loom)))]
pub(super) mod tests {
    use super::*;
    use redhanded_report::{Culprit, WaitingFor};

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

    pub(in super::super) fn child(
        class: Class,
        confidence: Confidence,
        stands: bool,
    ) -> NamedChild {
        let mut verdict = Verdict::new(class, Role::Culprit, confidence, "its cause");
        verdict.culprit = Some(Culprit::new(class.as_str().to_owned(), None, None, None));
        NamedChild {
            held_bytes: 0,
            named: Named::default(),
            verdict,
            stands,
            who: "the child, spawned at src/a.rs:1:2".to_owned(),
        }
    }

    #[test]
    fn who_waits_for_a_child_is_judged_by_it() {
        let mut verdict = waiter(WaitKind::Task);
        let only = [child(Class::CpuLoop, Confidence::Proved, true)];
        assert_eq!(judge(&mut verdict, &only), None);
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::CpuLoop, Confidence::Proved)
        );
        assert!(
            verdict.cause.contains("src/a.rs:1:2: its cause"),
            "{}",
            verdict.cause
        );
    }

    #[test]
    fn of_several_the_one_that_stands_is_blamed_and_not_proved() {
        let mut verdict = waiter(WaitKind::Task);
        let several = [
            child(Class::StuckAwait, Confidence::Likely, false),
            child(Class::BlockedThread, Confidence::Proved, true),
            child(Class::Unknown, Confidence::Suspected, false),
        ];
        let missing = judge(&mut verdict, &several);
        assert_eq!(
            (verdict.class, verdict.confidence),
            (Class::BlockedThread, Confidence::Likely)
        );
        assert_eq!(missing, None);
    }

    #[test]
    fn a_child_of_which_nothing_is_known_gives_no_class() {
        let mut verdict = waiter(WaitKind::Task);
        let only = [child(Class::Unknown, Confidence::Suspected, false)];
        assert_eq!(judge(&mut verdict, &only), None);
        assert_eq!(verdict.class, Class::StuckAwait);
        assert!(verdict.cause.ends_with("its cause"), "{}", verdict.cause);
    }

    #[test]
    fn children_that_are_not_visible_are_said_to_be() {
        let mut verdict = waiter(WaitKind::Task);
        let missing = judge(&mut verdict, &[]);
        assert!(missing.is_some_and(|m| m.contains("children not visible")));
        assert!(verdict.cause.contains("children not visible"));
        assert_eq!(verdict.class, Class::StuckAwait);
    }

    #[test]
    fn who_waits_for_something_else_is_not_judged_by_its_children() {
        let mut verdict = waiter(WaitKind::Channel);
        let loops = [child(Class::CpuLoop, Confidence::Proved, true)];
        assert_eq!(judge(&mut verdict, &loops), None);
        assert_eq!(verdict.class, Class::StuckAwait);
    }
}
