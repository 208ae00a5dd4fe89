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
        stands_in_a_queue(verdict, referred);
        if referred.itself && named.awaits && verdict.victim_of.is_none() {
            verdict.role = Role::Culprit;
            verdict.holder = Some("this request itself, it may be".to_owned());
            verdict.cause += "; its own future refers to it in another place as well, so that it may hold it itself";
        }
    }
}

/// Others wait for the same, and nobody has it just now: a queue that moves looks like this, as long as it does.
fn stands_in_a_queue(verdict: &mut Verdict, referred: &Referred) {
    if verdict.victim_of.is_some() {
        return;
    }
    if referred.queue > 0 {
        verdict.role = Role::Victim;
        verdict.cause += &format!("; {} other requests wait for the same", referred.queue);
    } else if referred.given_on {
        verdict.role = Role::Victim;
        verdict.cause += "; who had it at an earlier look is over: it is given on";
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
    let root = root_of(id, others);
    let waits_for_us = holder.is_some_and(|v| {
        let of_nobody = v.class == Class::Starved && v.victim_of.is_none();
        v.role == Role::Victim && (of_nobody || root == referred.me)
    });
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
    verdict.victim_of = Some(root.to_owned());
}

/// Longer chains of victims are not followed.
const CHAIN: usize = 16;

/// Who is to blame for what `id` holds: a victim is late because of another, and that one may be, too.
fn root_of<'a>(id: &'a str, others: &[&'a Report]) -> &'a str {
    let culprit_of = |id: &str| {
        let verdict = others.iter().find(|r| r.id == id)?.verdict.as_ref()?;
        verdict.victim_of.as_deref()
    };
    let chain = std::iter::successors(Some(id), |id| culprit_of(id));
    chain.take(CHAIN).last().unwrap_or(id)
}

/// Nothing refers to it: one is named only if the two meet in the user's code.
fn guess(verdict: &mut Verdict, named: &Named, others: &[&Report]) {
    let may_hold = |r: &&Report| {
        let found = r.verdict.as_ref();
        found.is_some_and(|v| match (v.role, v.class) {
            (Role::Culprit, class) => class != Class::Unknown && !waits_for_a_holder(v),
            // What it holds while its client is slow, others wait for; that a client is slow is no sign by itself.
            (_, Class::ClientStalled) => meets(named, r) || shares_a_limit(named, r),
            _ => false,
        })
    };
    let suspects: Vec<&Report> = others.iter().copied().filter(may_hold).collect();
    let of_a_limit = |r: &&&Report| shares_a_limit(named, r);
    let with_permits = suspects.iter().filter(of_a_limit).count() > 0;
    let meeting: Vec<&&Report> = match peer_name(verdict) {
        Some(name) if verdict.class == Class::PoolWait => {
            let same = |r: &&&Report| r.verdict.as_ref().and_then(peer_name) == Some(name);
            suspects.iter().filter(same).collect()
        }
        _ if with_permits => suspects.iter().filter(of_a_limit).collect(),
        _ => suspects.iter().filter(|r| meets(named, r)).collect(),
    };
    verdict.confidence = verdict.confidence.min(Confidence::Suspected);
    verdict.holder = Some(NOBODY.to_owned());
    if suspects.is_empty() {
        return;
    }
    verdict.role = Role::Victim;
    match meeting.as_slice() {
        // Any of them keeps a permit from this one.
        [oldest, rest @ ..] if with_permits => {
            let more = match rest.len() {
                0 => String::new(),
                1 => " and another".to_owned(),
                n => format!(" and {n} others"),
            };
            verdict.cause += &format!("; {}{more} may have the permits of its limit", oldest.id);
            verdict.victim_of = Some(oldest.id.clone());
            verdict.holder = Some(oldest.id.clone());
        }
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

/// The path of tower's concurrency limit, whose permit a request has for as long as its handler runs.
const LIMIT: &str = "tower::limit::concurrency::";

/// Whether one waits for a permit of tower's limit on concurrency and the other runs with one: its future is
/// around those of the handler. Whether it is one and the same limit the names do not say.
fn shares_a_limit(named: &Named, other: &Report) -> bool {
    let theirs = other
        .evidence
        .as_ref()
        .map(|e| e.stacks.as_slice())
        .unwrap_or_default();
    is_in_limit(&named.stacks, "service::ConcurrencyLimit")
        && is_in_limit(theirs, "future::ResponseFuture")
}

fn is_in_limit(stacks: &[Stack], part: &str) -> bool {
    let mut frames = stacks.iter().flat_map(|s| &s.frames);
    frames.any(|f| {
        let rest = f
            .function
            .as_deref()
            .and_then(|name| name.split_once(LIMIT));
        rest.is_some_and(|(_, rest)| rest.starts_with(part))
    })
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
    use redhanded_report::{Event, Evidence, Frame, WaitKind, WaitingFor};

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

    fn stack(functions: &[&str]) -> Vec<Stack> {
        let frame = |name: &&str| {
            let mut frame = Frame::default();
            frame.function = Some((*name).to_owned());
            frame.user = name.starts_with("shop::");
            frame
        };
        let mut stack = Stack::default();
        stack.frames = functions.iter().map(frame).collect();
        vec![stack]
    }

    fn waits_in(functions: &[&str]) -> Named {
        Named {
            stacks: stack(functions),
            ..awaits()
        }
    }

    fn slow_client(id: &str, functions: &[&str]) -> Report {
        let mut report = Report::new(Event::Caught, id);
        report.verdict = Some(Verdict::new(
            Class::ClientStalled,
            Role::Bystander,
            Confidence::Likely,
            "its client is slow",
        ));
        let mut evidence = Evidence::default();
        evidence.stacks = stack(functions);
        report.evidence = Some(evidence);
        report
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

    /// As recorded of the moment between two holders.
    #[test]
    fn who_waits_for_what_was_given_on_since_accuses_nobody() {
        let given_on = Referred {
            given_on: true,
            ..Referred::default()
        };
        let mut verdict = waiter(Class::StuckAwait);
        name(&mut verdict, &awaits(), &given_on, [].into_iter());
        assert_eq!(
            (verdict.role, verdict.victim_of.is_none()),
            (Role::Victim, true)
        );
        let mut still = waiter(Class::StuckAwait);
        name(&mut still, &awaits(), &Referred::default(), [].into_iter());
        assert_eq!(still.role, Role::Culprit, "nobody has it, and nobody had");
    }

    /// As recorded of a queue that moves: 01B had waited for 01A, and has the permit by now.
    #[test]
    fn who_waits_for_a_holder_that_is_late_itself_is_a_victim_of_the_first() {
        let mut late = Report::new(Event::Caught, "01B");
        let mut of_the_first = waiter(Class::StuckAwait);
        of_the_first.role = Role::Victim;
        of_the_first.victim_of = Some("01A".to_owned());
        late.verdict = Some(of_the_first);
        let judged = |me: &str| {
            let mut verdict = waiter(Class::StuckAwait);
            let referred = Referred {
                me: me.to_owned(),
                ..by(&["01B"])
            };
            name(&mut verdict, &awaits(), &referred, [&late].into_iter());
            verdict
        };
        let third = judged("01C");
        assert_eq!(third.role, Role::Victim, "{}", third.cause);
        assert_eq!(third.victim_of.as_deref(), Some("01A"));
        assert_eq!(third.holder.as_deref(), Some("01B"));
        let first = judged("01A");
        assert_eq!(first.role, Role::Culprit, "they wait for one another");
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

    /// As recorded: who waits for a permit is polled for readiness, who has one is inside of the limit's future.
    const WAITS: [&str; 3] = [
        "tokio::sync::semaphore::Semaphore::acquire_many_owned",
        "<tower::limit::concurrency::service::ConcurrencyLimit<S> as tower_service::Service<Request>>::poll_ready",
        "<tower::util::oneshot::Oneshot<S,Req> as core::future::future::Future>::poll",
    ];
    const HAS_A_PERMIT: [&str; 2] = [
        "hyper::body::chan::Receiver::poll_next",
        "<tower::limit::concurrency::future::ResponseFuture<F> as core::future::future::Future>::poll",
    ];

    #[test]
    fn who_waits_for_a_permit_that_slow_clients_hold_is_their_victim() {
        let slow = ["01A", "01B"].map(|id| slow_client(id, &HAS_A_PERMIT));
        let mut verdict = waiter(Class::StuckAwait);
        name(
            &mut verdict,
            &waits_in(&WAITS),
            &Referred::default(),
            slow.iter(),
        );
        assert_eq!(
            (verdict.role, verdict.confidence),
            (Role::Victim, Confidence::Suspected)
        );
        assert_eq!(verdict.holder.as_deref(), Some("01A"));
        assert_eq!(verdict.victim_of, verdict.holder);
        assert_eq!(
            verdict.cause,
            "waits; 01A and another may have the permits of its limit"
        );
    }

    #[test]
    fn a_slow_client_elsewhere_excuses_nobody() {
        let elsewhere = slow_client("01A", &["shop::upload"]);
        let mut verdict = waiter(Class::StuckAwait);
        let named = waits_in(&["shop::buy"]);
        name(
            &mut verdict,
            &named,
            &Referred::default(),
            [&elsewhere].into_iter(),
        );
        assert_eq!(
            (verdict.role, verdict.victim_of.is_none()),
            (Role::Culprit, true)
        );
        let same = slow_client("01A", &["shop::buy"]);
        let mut verdict = waiter(Class::StuckAwait);
        name(
            &mut verdict,
            &named,
            &Referred::default(),
            [&same].into_iter(),
        );
        assert_eq!(verdict.role, Role::Victim, "{}", verdict.cause);
        let unlimited = slow_client("01A", &["hyper::body::chan::Receiver::poll_next"]);
        let mut verdict = waiter(Class::StuckAwait);
        name(
            &mut verdict,
            &waits_in(&WAITS),
            &Referred::default(),
            [&unlimited].into_iter(),
        );
        assert_eq!(verdict.role, Role::Culprit, "{}", verdict.cause);
    }
}
