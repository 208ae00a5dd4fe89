//! Makes progress, but repeats outbound calls: a retry storm, pages without end, a redirect loop.

use super::hosts::{is_most_of_it, open_calls};
use super::{CallTotal, Observed, spoken};
use crate::calls::spelled as host;
use redhanded_report::{Class, Confidence, Peer, Role, Verdict};

/// Fewer calls to one host are what requests make.
const MANY: u64 = 10;
/// So many are too many whatever they are.
const TOO_MANY: u64 = 50;
/// A share that makes a pattern of what most of them have in common.
const MOST: f64 = 0.8;

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    // One call that takes the time by itself is no repetition, and neither is a poll that stands.
    if observed.poll.is_some() || one_call_takes_it(observed) {
        return None;
    }
    totalled(observed).or_else(|| exchanged(observed))
}

/// Nobody told of its calls, but its own connection knows how often they came and went.
fn exchanged(observed: &Observed) -> Option<Verdict> {
    let busy = observed.own_sockets.iter().filter(|socket| {
        // One that fell silent is what it waits for now.
        let quiet_ms = socket.peer.elapsed_ms.unwrap_or(f64::INFINITY);
        u64::from(socket.rounds) >= MANY && !is_most_of_it(quiet_ms, observed)
    });
    let worst = busy.max_by_key(|socket| socket.rounds)?;
    let confidence = if u64::from(worst.rounds) >= TOO_MANY {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    let cause = format!(
        "{} old; asked {} about {} times over one connection, was answered, and asks again",
        spoken(observed.elapsed_ms),
        host(&worst.peer),
        worst.rounds
    );
    let mut verdict = Verdict::new(Class::RepeatingCalls, Role::Culprit, confidence, cause);
    verdict.peer = Some(worst.peer.clone());
    Some(verdict)
}

fn totalled(observed: &Observed) -> Option<Verdict> {
    let worst = observed
        .totals
        .iter()
        .filter(|total| total.calls >= MANY)
        .max_by(|a, b| a.total_ms.total_cmp(&b.total_ms))?;
    let pattern = pattern(worst);
    let takes_the_time = worst.total_ms >= 0.5 * observed.elapsed_ms;
    // A retry that waits in between spends its time waiting.
    if !(takes_the_time || pattern.is_some()) {
        return None;
    }
    let confidence = if pattern.is_some() || worst.calls >= TOO_MANY {
        Confidence::Likely
    } else {
        Confidence::Suspected
    };
    let peer = peer(worst);
    let cause = format!(
        "made {} {} calls to {} in {}, which took {}{}",
        worst.calls,
        worst.kind,
        host(&peer),
        spoken(observed.elapsed_ms),
        spoken(worst.total_ms),
        pattern.unwrap_or_default()
    );
    let mut verdict = Verdict::new(Class::RepeatingCalls, Role::Culprit, confidence, cause);
    verdict.peer = Some(peer);
    Some(verdict)
}

fn one_call_takes_it(observed: &Observed) -> bool {
    open_calls(observed).is_some_and(|asked| {
        let takes_it = |ms| is_most_of_it(ms, observed);
        asked.calls.iter().any(|call| takes_it(call.rests_ms))
    })
}

/// What most of the calls have in common, in words.
fn pattern(total: &CallTotal) -> Option<String> {
    let most = |count: u64| count as f64 >= MOST * total.calls as f64;
    if most(total.failed) {
        Some(format!("; {} failed and were tried again", total.failed))
    } else if most(total.redirected) {
        Some(format!("; {} were redirected", total.redirected))
    } else if most(total.paged.saturating_add(1)) {
        Some(format!(
            "; {} asked for another page of the same",
            total.paged
        ))
    } else {
        None
    }
}

fn peer(total: &CallTotal) -> Peer {
    let mut peer = Peer::default();
    peer.name = Some(total.host.clone());
    peer.port = total.port;
    peer
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::super::hosts::tests::{call, calling};
    use super::*;
    use crate::calls::CallPhase;
    use crate::verdict::judge;

    fn total(calls: u64) -> CallTotal {
        CallTotal {
            kind: "http".into(),
            host: "api".into(),
            port: Some(443),
            calls,
            total_ms: 29_000.0,
            ..CallTotal::default()
        }
    }

    /// The request of [`calling`], in the midst of a call that has only begun.
    fn repeating(total: CallTotal) -> Observed {
        let mut fresh = call("api", 443, Some(CallPhase::WaitHeaders));
        (fresh.rests_ms, fresh.elapsed_ms) = (40.0, 40.0);
        Observed {
            totals: vec![total],
            ..calling(&[fresh])
        }
    }

    #[test]
    fn a_retry_storm_says_how_often_and_why() {
        let mut storm = total(240);
        (storm.failed, storm.total_ms) = (239, 4_000.0);
        let verdict = judge(&repeating(storm));
        assert_eq!(
            (verdict.class, verdict.role, verdict.confidence),
            (Class::RepeatingCalls, Role::Culprit, Confidence::Likely)
        );
        assert_eq!(
            verdict.cause,
            "made 240 http calls to api:443 in 31.00 s, which took 4.00 s; 239 failed and were tried again"
        );
        let peer = verdict.peer.expect("named");
        assert_eq!((peer.name.as_deref(), peer.port), (Some("api"), Some(443)));
    }

    #[test]
    fn pages_and_redirects_are_patterns_too() {
        let mut pages = total(300);
        pages.paged = 299;
        assert!(judge(&repeating(pages)).cause.contains("another page"));
        let mut redirects = total(20);
        redirects.redirected = 20;
        assert!(judge(&repeating(redirects)).cause.contains("redirected"));
    }

    #[test]
    fn many_calls_without_a_pattern_are_many_calls() {
        let verdict = judge(&repeating(total(200)));
        assert_eq!(verdict.class, Class::RepeatingCalls);
    }

    /// The nearest innocents: a few calls, cheap ones, and one that hangs after many that did not.
    #[test]
    fn who_makes_calls_as_requests_do_is_not_accused_of_this() {
        assert_ne!(judge(&repeating(total(5))).class, Class::RepeatingCalls);
        let mut cheap = total(30);
        cheap.total_ms = 300.0;
        assert_ne!(judge(&repeating(cheap)).class, Class::RepeatingCalls);
        let mut hangs = calling(&[call("api", 443, Some(CallPhase::WaitHeaders))]);
        hangs.totals = vec![total(200)];
        assert_eq!(judge(&hangs).class, Class::SilentPeer);
    }
}
