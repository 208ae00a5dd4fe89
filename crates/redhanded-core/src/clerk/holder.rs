//! Who holds what a request waits for, as far as memory, names and the other open cases tell. Pure.

use super::naming::Named;
use super::refine::waits_for_a_holder;
use crate::referred::Referred;
use redhanded_report::{Class, Confidence, Report, Role, Stack, Verdict};
use std::collections::HashSet;

const NOBODY: &str = "nobody found";

/// Says who holds it. Who waits for a lock is late because of somebody else; alone, it can only
/// blame itself.
pub(super) fn name<'a>(
    verdict: &mut Verdict,
    named: &Named,
    referred: &Referred,
    others: impl Iterator<Item = &'a Report>,
) {
    let others: Vec<&Report> = others.collect();
    let rests = verdict.role != Role::Bystander;
    if let Some(id) = referred.by.first() {
        is_held_by(verdict, id, referred, &others);
    } else if referred.unpolled && named.awaits && rests {
        is_in_an_unpolled_part(verdict);
    } else {
        guess(verdict, named, &others);
        if referred.itself && named.awaits && verdict.victim_of.is_none() {
            verdict.role = Role::Culprit;
            verdict.holder = Some("this request itself, it may be".to_owned());
            verdict.cause += "; its own future refers to it in another place as well, so that it may hold it itself";
        }
    }
}

/// A lock is handed over to the future that waited longest. If that is a part of the same request
/// which nobody polls while the request waits elsewhere, the lock is never given back.
fn is_in_an_unpolled_part(verdict: &mut Verdict) {
    verdict.class = Class::Undriven;
    verdict.role = Role::Culprit;
    verdict.confidence = Confidence::Likely;
    verdict.holder = Some("another future of this same request".to_owned());
    verdict.cause += "; another future of this same request has it, or was given it, and is not polled while this one waits";
}

/// The memory of another request refers to it.
fn is_held_by(verdict: &mut Verdict, id: &str, referred: &Referred, others: &[&Report]) {
    let holder = others
        .iter()
        .find(|r| r.id == *id)
        .and_then(|r| r.verdict.as_ref());
    let waits_for_us = holder.is_some_and(|v| v.role == Role::Victim);
    verdict.holder = Some(id.to_owned());
    let alone = referred.by.len() == 1 && !referred.cut;
    let most = if alone {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    verdict.confidence = verdict.confidence.min(most);
    let more = match referred.by.len() {
        1 => String::new(),
        n => format!(", as those of {} others do", n - 1),
    };
    verdict.cause += &format!("; the memory of {id} refers to it{more}: it holds it");
    // A worker that sleeps in a lock keeps the holder from running, unless that hangs by itself.
    let blocks_it =
        verdict.class == Class::BlockedThread && holder.is_none_or(|v| v.role != Role::Culprit);
    if waits_for_us || blocks_it {
        verdict.role = Role::Culprit;
        if waits_for_us {
            verdict.cause += ", and is late because of others itself";
        }
        return;
    }
    verdict.role = Role::Victim;
    verdict.victim_of = Some(id.to_owned());
}

/// Nothing refers to it: one is named only if the two meet in the user's code.
fn guess(verdict: &mut Verdict, named: &Named, others: &[&Report]) {
    let may_hold = |r: &&Report| {
        let found = r.verdict.as_ref();
        found.is_some_and(|v| {
            v.role == Role::Culprit && v.class != Class::Unknown && !waits_for_a_holder(v)
        })
    };
    let suspects: Vec<&Report> = others.iter().copied().filter(may_hold).collect();
    let meeting: Vec<&&Report> = match peer_name(verdict) {
        Some(name) if verdict.class == Class::PoolWait => {
            let same = |r: &&&Report| r.verdict.as_ref().and_then(peer_name) == Some(name);
            suspects.iter().filter(same).collect()
        }
        _ => suspects.iter().filter(|r| meets(named, r)).collect(),
    };
    verdict.confidence = verdict.confidence.min(Confidence::Suspected);
    verdict.holder = Some(NOBODY.to_owned());
    if suspects.is_empty() {
        return;
    }
    verdict.role = Role::Victim;
    match meeting.as_slice() {
        [one] => {
            verdict.victim_of = Some(one.id.clone());
            verdict.holder = Some(one.id.clone());
            verdict.cause += &format!("; {} hangs in the same code and may hold it", one.id);
        }
        // Any of them keeps a connection from this one.
        [oldest, _, ..] if verdict.class == Class::PoolWait => {
            verdict.cause += &format!("; {} others hang with connections to it", meeting.len());
            verdict.victim_of = Some(oldest.id.clone());
            verdict.holder = Some(oldest.id.clone());
        }
        _ => {
            verdict.cause += &format!(
                "; who holds it was not found, {} other requests hang",
                suspects.len()
            )
        }
    }
}

fn peer_name(verdict: &Verdict) -> Option<&str> {
    verdict.peer.as_ref()?.name.as_deref()
}

/// Whether some function of the user's own code stands in the stacks of both.
fn meets(named: &Named, other: &Report) -> bool {
    let mine: HashSet<&str> = user_functions(&named.stacks).collect();
    let theirs = other
        .evidence
        .as_ref()
        .map(|e| e.stacks.as_slice())
        .unwrap_or_default();
    user_functions(theirs).any(|f| mine.contains(f))
}

fn user_functions(stacks: &[Stack]) -> impl Iterator<Item = &str> {
    stacks
        .iter()
        .flat_map(|s| &s.frames)
        .filter(|f| f.user)
        .filter_map(|f| f.function.as_deref())
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use redhanded_report::{Event, WaitKind, WaitingFor};

    fn waiter(class: Class) -> Verdict {
        let mut verdict = Verdict::new(class, Role::Culprit, Confidence::Likely, "waits");
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Lock, "tokio::sync::Mutex::lock"));
        verdict
    }

    fn awaits() -> Named {
        Named {
            awaits: true,
            ..Named::default()
        }
    }

    fn by(ids: &[&str]) -> Referred {
        Referred {
            by: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Referred::default()
        }
    }

    fn holder(role: Role) -> Report {
        let mut report = Report::new(Event::Caught, "01A");
        let class = if role == Role::Victim {
            Class::Starved
        } else {
            Class::SilentPeer
        };
        report.verdict = Some(Verdict::new(class, role, Confidence::Likely, "its own"));
        report
    }

    #[test]
    fn who_has_a_reference_to_the_lock_holds_it() {
        let mut verdict = waiter(Class::StuckAwait);
        name(&mut verdict, &awaits(), &by(&["01A"]), [].into_iter());
        assert_eq!(
            (verdict.role, verdict.confidence),
            (Role::Victim, Confidence::Likely)
        );
        assert_eq!(verdict.holder.as_deref(), Some("01A"));
        assert_eq!(verdict.victim_of, verdict.holder);
        let mut several = waiter(Class::StuckAwait);
        name(
            &mut several,
            &awaits(),
            &by(&["01A", "01B"]),
            [].into_iter(),
        );
        assert_eq!(
            several.confidence,
            Confidence::Suspected,
            "{}",
            several.cause
        );
    }

    #[test]
    fn a_worker_that_sleeps_in_a_lock_keeps_its_holder_from_running() {
        let late = holder(Role::Victim);
        let mut verdict = waiter(Class::BlockedThread);
        name(
            &mut verdict,
            &Named::default(),
            &by(&["01A"]),
            [&late].into_iter(),
        );
        assert_eq!(
            (verdict.role, verdict.victim_of.is_none()),
            (Role::Culprit, true)
        );
        let hangs = holder(Role::Culprit);
        let mut verdict = waiter(Class::BlockedThread);
        name(
            &mut verdict,
            &Named::default(),
            &by(&["01A"]),
            [&hangs].into_iter(),
        );
        assert_eq!(verdict.role, Role::Victim, "{}", verdict.cause);
    }

    #[test]
    fn a_lock_that_a_part_of_the_request_has_that_nobody_polls_is_undriven() {
        let unpolled = Referred {
            unpolled: true,
            ..Referred::default()
        };
        let mut verdict = waiter(Class::StuckAwait);
        name(&mut verdict, &awaits(), &unpolled, [].into_iter());
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::Undriven, Role::Culprit)
        );
        let mut held = waiter(Class::StuckAwait);
        let by_another = Referred {
            unpolled: true,
            ..by(&["01A"])
        };
        name(&mut held, &awaits(), &by_another, [].into_iter());
        assert_eq!(held.role, Role::Victim, "another has it");
        let mut blocked = waiter(Class::BlockedThread);
        name(&mut blocked, &Named::default(), &unpolled, [].into_iter());
        assert_eq!(
            blocked.class,
            Class::BlockedThread,
            "a thread polls nothing"
        );
    }
}
