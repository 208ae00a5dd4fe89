//! One poll has not returned, and its thread sleeps in the kernel.

use super::hosts::{Wait, named_by_a_call, only_call};
use super::{Observed, spoken};
use redhanded_report::{Class, Confidence, Role, Verdict};

pub(super) fn rule(observed: &Observed) -> Option<Verdict> {
    let poll = observed.poll.as_ref()?;
    // The rules about hosts say more, where they say something.
    if !poll.is_mostly_asleep() || Wait::of(observed).is_some() {
        return None;
    }
    let never_ran = poll.timeslices == Some(0) && poll.asleep == poll.samples;
    let confidence = match (never_ran, poll.samples) {
        (true, 5..) if poll.shared_frames > 0 && poll.syscall.is_some() => Confidence::Proved,
        (true, _) | (false, 5..) => Confidence::Likely,
        (false, _) => Confidence::Suspected,
    };
    let call = poll.syscall.as_deref().unwrap_or("the kernel");
    let on_what = poll
        .waiting_for
        .as_ref()
        .filter(|w| w.what != call)
        .map(|w| format!(" ({})", w.what))
        .unwrap_or_default();
    let ran = match poll.timeslices {
        Some(0) => "it never ran meanwhile".to_owned(),
        Some(n) => format!("it ran {n} times meanwhile"),
        None => "whether it ran meanwhile is not known".to_owned(),
    };
    let cause = format!(
        "thread {} has been blocked in {call}{on_what} for {} in one poll; {ran}, {} of {} samples found it asleep",
        poll.thread,
        spoken(poll.stood_ms),
        poll.asleep,
        poll.samples
    );
    let mut verdict = Verdict::new(Class::BlockedThread, Role::Culprit, confidence, cause);
    verdict.waiting_for = poll.waiting_for.clone();
    verdict.peer = match &poll.peer {
        Some(peer) => Some(named_by_a_call(peer, observed)),
        // It may wait for a connection of a pool, which its names can tell.
        None if observed.on_blocking_thread => only_call(observed),
        None => None,
    };
    Some(verdict)
}
