//! Waits for a connection of a pool, which others have.

use super::hosts::{is_most_of_it, open_calls, peer_of};
use super::{CallSeen, Observed, spoken};
use crate::calls::{CallPhase, spelled as host};
use redhanded_report::{Class, Confidence, Role, Verdict, WaitKind, WaitingFor};

/// Holders that the sentence names.
const NAMED: usize = 3;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    if observed.poll.is_some() {
        return None;
    }
    let asked = open_calls(observed)?;
    let in_pool = |call: &&&CallSeen| call.phase == Some(CallPhase::Pool);
    let call = asked.calls.iter().find(in_pool)?;
    let for_ms = call.rests_ms.min(observed.elapsed_ms);
    let surely = asked.surely && asked.calls.len() == 1 && is_most_of_it(for_ms, observed);
    let confidence = if surely {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    let mut peer = peer_of(call);
    peer.elapsed_ms = Some(for_ms);
    let cause = format!(
        "waiting for a connection to {} of a pool for up to {}; {}",
        host(&peer),
        spoken(for_ms),
        held_by(&call.holders)
    );
    let role = if call.holders.is_empty() {
        Role::Culprit
    } else {
        Role::Victim
    };
    let mut verdict = Verdict::new(Class::PoolWait, role, confidence, cause);
    verdict.waiting_for = Some(WaitingFor::new(WaitKind::Semaphore, host(&peer)));
    verdict.peer = Some(peer);
    verdict.victim_of = call.holders.first().cloned();
    let holder = call.holders.first().cloned();
    verdict.holder = Some(holder.unwrap_or_else(|| "nobody found".to_owned()));
    Some(verdict)
}

fn held_by(holders: &[String]) -> String {
    match holders {
        [] => "who holds them was not found".to_owned(),
        [one] => format!("{one} holds one"),
        several => {
            let named: Vec<&str> = several.iter().take(NAMED).map(String::as_str).collect();
            let more = if several.len() > NAMED { ", …" } else { "" };
            format!(
                "{} requests hold one ({}{more})",
                several.len(),
                named.join(", ")
            )
        }
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::hosts::tests::{call, calling};
    use super::*;
    use crate::verdict::judge;

    fn waiting(holders: &[&str]) -> CallSeen {
        CallSeen {
            holders: holders.iter().map(|id| (*id).to_owned()).collect(),
            ..call("db1", 5432, Some(CallPhase::Pool))
        }
    }

    #[test]
    fn who_waits_for_what_others_hold_is_their_victim() {
        let verdict = judge(&calling(&[waiting(&["01A", "01B"])]));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::PoolWait, Role::Victim, Confidence::Likely)
        );
        assert_eq!(verdict.victim_of.as_deref(), Some("01A"));
        assert_eq!(
            verdict.cause,
            "waiting for a connection to db1:5432 of a pool for up to 30.50 s; 2 requests hold one (01A, 01B)"
        );
        let phase = verdict.peer.and_then(|peer| peer.phase);
        assert_eq!(phase.as_deref(), Some("pool"));
    }

    #[test]
    fn a_pool_that_nobody_seems_to_hold_says_so() {
        let verdict = judge(&calling(&[waiting(&[])]));
        assert_eq!(
            (verdict.class, verdict.role),
            (Class::PoolWait, Role::Culprit)
        );
        assert_eq!(verdict.holder.as_deref(), Some("nobody found"));
    }

    /// The nearest innocents: one that has its connection, and a pool that is waited for in passing.
    #[test]
    fn who_has_a_connection_does_not_wait_for_one() {
        let has = call("db1", 5432, Some(CallPhase::WaitHeaders));
        assert_eq!(judge(&calling(&[has])).class, Class::SilentPeer);
        let mut fresh = waiting(&["01A"]);
        fresh.rests_ms = 10.0;
        let verdict = rule(&calling(&[fresh])).expect("it waits for a moment");
        assert_eq!(verdict.confidence, Confidence::Suspected);
    }
}
