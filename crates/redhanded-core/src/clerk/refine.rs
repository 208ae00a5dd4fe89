//! What names add to a verdict: the line to blame, the leaf, and who may hold what is waited for.

pub(super) use super::host::{forget_call, is_about_a_host, is_told};
use super::naming::Named;
use super::{holder, host};
use crate::referred::Referred;
use redhanded_report::{Class, Confidence, Culprit, Report, Role, StackKind, Verdict, WaitKind};

/// Completes the verdict of a look whose stacks have names now. `referred` tells whose memory refers to
/// what it waits for, and `others` are the open cases that could be the holder. Pure.
pub(super) fn refine<'a>(
    verdict: &mut Verdict,
    named: &Named,
    samples: u32,
    referred: &Referred,
    others: impl Iterator<Item = &'a Report>,
) {
    host::compare_with_names(verdict, named);
    if verdict.waiting_for.is_none() {
        verdict.waiting_for = named.waiting_for.clone();
    }
    if let Some(culprit) = &named.culprit {
        let place = match (&culprit.file, culprit.line) {
            (Some(file), Some(line)) => format!("{} ({file}:{line})", culprit.function),
            _ => culprit.function.clone(),
        };
        let is_await = named
            .stacks
            .first()
            .is_some_and(|s| s.kind == StackKind::Await);
        let spins = verdict.class == Class::SpinLoop;
        verdict.cause += &match (&named.leaf, is_await) {
            (Some(leaf), true) if spins => format!("; at {leaf}, awaited by {place}"),
            (None, true) if spins => format!("; at {place}"),
            (Some(leaf), true) => format!("; it waits in {leaf}, awaited by {place}"),
            (None, true) => format!("; it waits in {place}"),
            (_, false) if samples > 1 => format!("; all {samples} samples are under {place}"),
            (_, false) => format!("; it is in {place}"),
        };
        verdict.culprit = Some(culprit.clone());
    } else if let Some(leaf) = &named.leaf {
        verdict.cause += &format!("; it waits in {leaf}");
    }
    if verdict.class == Class::StuckAwait && referred.empty_set && named.waits_for_a_set {
        verdict.class = Class::LostWakeup;
        verdict.cause += "; the set of futures that it waits for is empty: nothing can wake it";
    }
    if waits_for_a_holder(verdict) {
        holder::name(verdict, named, referred, others);
    }
    if waits_for_its_client(verdict) {
        verdict.class = Class::ClientStalled;
        verdict.role = Role::Bystander;
    }
}

/// No stack tells where it is, but its futures what it is made of: the outermost of the user's own is its
/// handler, the innermost the nearest to where it waits.
pub(super) fn name_future(verdict: &mut Verdict, futures: Vec<String>) {
    let Some(handler) = futures.last() else {
        return;
    };
    verdict.cause += &format!("; it is in {}", futures.join(", then "));
    verdict.culprit = Some(Culprit::new(handler.clone(), None, None, None));
}

/// A handler that waits for the bytes of its own request is not to blame.
pub(super) fn waits_for_its_client(verdict: &Verdict) -> bool {
    let kind = verdict.waiting_for.as_ref().map(|w| w.kind);
    // An upload at full speed is always ready; who wakes itself does not wait for anybody.
    let may_wait = matches!(verdict.class, Class::StuckAwait | Class::ClientStalled)
        || is_suspected_to_spin(verdict);
    may_wait && kind == Some(WaitKind::Client)
}

/// It may as well transfer much: what it transfers is known by name only.
pub(super) fn is_suspected_to_spin(verdict: &Verdict) -> bool {
    (verdict.class, verdict.confidence) == (Class::SpinLoop, Confidence::Suspected)
}

/// A lock or permit has a holder, and the holder is the culprit, not who waits.
pub(super) fn waits_for_a_holder(verdict: &Verdict) -> bool {
    let kind = verdict.waiting_for.as_ref().map(|w| w.kind);
    let waits = match verdict.class {
        Class::StuckAwait | Class::BlockedThread => {
            matches!(kind, Some(WaitKind::Lock | WaitKind::Semaphore))
        }
        Class::PoolWait => true,
        _ => false,
    };
    waits && verdict.victim_of.is_none()
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redhanded_report::{Event, Evidence, Frame, Stack, WaitingFor};

    fn waiter() -> Verdict {
        let mut verdict = Verdict::new(
            Class::StuckAwait,
            Role::Culprit,
            Confidence::Likely,
            "pending",
        );
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Lock, "tokio::sync::Mutex::lock"));
        verdict
    }

    fn report(id: &str, verdict: Verdict) -> Report {
        let mut report = Report::new(Event::Caught, id);
        report.verdict = Some(verdict);
        report
    }

    fn stack(function: &str) -> Stack {
        let mut frame = Frame::default();
        (frame.function, frame.user) = (Some(function.to_owned()), true);
        let mut stack = Stack::default();
        stack.frames = vec![frame];
        stack
    }

    fn stuck_holder() -> Report {
        let mut holder = report(
            "01A",
            Verdict::new(
                Class::StuckAwait,
                Role::Culprit,
                Confidence::Likely,
                "socket",
            ),
        );
        let mut evidence = Evidence::default();
        evidence.stacks = vec![stack("app::boost")];
        holder.evidence = Some(evidence);
        holder
    }

    #[test]
    fn who_waits_for_a_lock_is_not_the_culprit_when_another_hangs_in_the_same_code() {
        let (holder, fellow) = (stuck_holder(), report("01B", waiter()));
        let mut verdict = waiter();
        let named = Named {
            stacks: vec![stack("app::boost")],
            ..Named::default()
        };
        refine(
            &mut verdict,
            &named,
            0,
            &Referred::default(),
            [&holder, &fellow].into_iter(),
        );
        assert_eq!(
            (verdict.role, verdict.confidence),
            (Role::Victim, Confidence::Suspected)
        );
        assert_eq!(verdict.victim_of.as_deref(), Some("01A"));
    }

    #[test]
    fn nobody_is_named_who_hangs_elsewhere() {
        let holder = stuck_holder();
        let mut verdict = waiter();
        let named = Named {
            stacks: vec![stack("app::other")],
            ..Named::default()
        };
        refine(
            &mut verdict,
            &named,
            0,
            &Referred::default(),
            [&holder].into_iter(),
        );
        assert_eq!((verdict.role, verdict.victim_of), (Role::Victim, None));
    }

    #[test]
    fn a_slow_upload_is_nobodys_fault() {
        let mut verdict = waiter();
        verdict.waiting_for = Some(WaitingFor::new(WaitKind::Client, "hyper::body::Incoming"));
        refine(
            &mut verdict,
            &Named::default(),
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::ClientStalled, Role::Bystander)
        );
    }

    #[test]
    fn a_lock_that_nobody_seems_to_hold_says_so() {
        let mut verdict = waiter();
        refine(
            &mut verdict,
            &Named::default(),
            0,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(verdict.holder.as_deref(), Some("nobody found"));
    }

    #[test]
    fn the_line_stands_in_the_sentence() {
        let mut verdict = Verdict::new(Class::CpuLoop, Role::Culprit, Confidence::Proved, "on CPU");
        let culprit = Some(Culprit::new(
            "app::search::matches",
            Some("src/search.rs".into()),
            Some(12),
            None,
        ));
        refine(
            &mut verdict,
            &Named {
                culprit,
                ..Named::default()
            },
            20,
            &Referred::default(),
            [].into_iter(),
        );
        assert_eq!(
            verdict.cause,
            "on CPU; all 20 samples are under app::search::matches (src/search.rs:12)"
        );
    }

    fn any_named() -> impl Strategy<Value = Named> {
        let kinds = [
            WaitKind::Lock,
            WaitKind::Channel,
            WaitKind::Socket,
            WaitKind::Timer,
            WaitKind::Task,
        ];
        let kinds = proptest::collection::vec(proptest::sample::select(kinds.to_vec()), 0..3);
        let leaf = proptest::option::of(any::<String>());
        (kinds, leaf, any::<bool>(), any::<bool>()).prop_map(|(kinds, leaf, awaits, set)| Named {
            waiting_for: kinds.first().map(|kind| WaitingFor::new(*kind, "it")),
            kinds,
            leaf,
            awaits,
            waits_for_a_set: set,
            ..Named::default()
        })
    }

    proptest! {
        #[test]
        fn names_and_memory_prove_nothing(
            named in any_named(),
            by in proptest::collection::vec("[0-9A-Z]{0,3}", 0..3),
            (unpolled, itself, empty_set, cut, given_on, queue) in any::<(bool, bool, bool, bool, bool, u32)>(),
            class in proptest::sample::select(vec![Class::StuckAwait, Class::BlockedThread, Class::PoolWait, Class::SilentPeer, Class::Unknown]),
            held in any::<bool>(),
        ) {
            let referred = Referred { me: "01X".to_owned(), by, unpolled, itself, empty_set, cut, given_on, queue };
            let mut verdict = Verdict::new(class, Role::Culprit, Confidence::Likely, "seen");
            let other = stuck_holder();
            refine(&mut verdict, &named, 3, &referred, held.then_some(&other).into_iter());
            prop_assert!(verdict.confidence < Confidence::Proved);
            prop_assert!(verdict.victim_of.is_none() || verdict.role == Role::Victim, "{verdict:?}");
            prop_assert!(verdict.class != Class::Undriven || verdict.holder.is_some());
        }
    }
}
