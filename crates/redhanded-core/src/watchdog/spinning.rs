//! How often a request is polled, and what its polls do: for those that are polled all the time.
//!
//! They need no waking for a look, and one poll of theirs says little. So their polls are counted
//! over a while, and some of them are captured.

use crate::registry::{Mail, Slot};
use crate::verdict::{Observed, Polling, judge};
use redhanded_capture::LeafKind;
use redhanded_report::{Class, Verdict};

/// Over which time polls are counted.
const WINDOW_NS: u64 = 100_000_000;
/// On a crowded machine there may be few in that time, and it is waited for more.
const LONG_WINDOW_NS: u64 = 3 * WINDOW_NS;
/// Polls in it that make it worth telling.
const FEWEST: u64 = 5;
/// Captured polls are enough: each costs the request some 10 µs.
const CAPTURES: u32 = 8;
/// Who is polled so often all its life is counted at once.
const OFTEN_A_SECOND: u64 = 1_000;
/// Who is still polled after so long a look neither stands nor waits.
const RESTLESS_NS: u64 = 60_000_000;
const SECOND_NS: u128 = 1_000_000_000;

/// What one look knows of the polls of its request.
#[derive(Default)]
pub(super) struct Spinning {
    /// Polls when the look began.
    polls: Option<u64>,
    window: Option<Window>,
    /// Counted once a look: who turned out to wait, or to stand, is looked at as such.
    counted: bool,
}

/// Polls that are being counted.
struct Window {
    since_ns: u64,
    polls: u64,
    frames: u32,
    captures: u32,
    woke_itself: u32,
    budget_exhausted: u32,
    mail: Option<Box<Mail>>,
}

/// What counting has come to.
pub(super) enum Counted {
    /// It is not polled all the time, as far as is known.
    No,
    /// Not yet.
    NotYet,
    /// The captured poll that says most, and the count.
    Yes(Box<Mail>, Polling),
}

/// Whether a captured poll is worth counting others.
pub(super) fn is_restless(mail: &Mail) -> bool {
    mail.budget_exhausted || woke_itself(mail)
}

/// Whether a request was polled so often in its life that it does something again and again.
pub(super) fn is_often_polled(polls: u64, elapsed_ms: f64) -> bool {
    const POLLS: u64 = 50;
    const A_SECOND: f64 = 20.0;
    polls >= POLLS && polls as f64 * 1_000.0 >= A_SECOND * elapsed_ms
}

fn woke_itself(mail: &Mail) -> bool {
    let mut leaves = mail.waiting.leaves.iter();
    leaves.any(|leaf| leaf.kind == LeafKind::WokeItself)
}

/// The verdict that names may call for: tokio keeps the waker of who yields as a timer would, so
/// that only the leaf's name tells.
pub(super) fn if_it_yields(observed: &Observed) -> Option<Verdict> {
    let mut observed = observed.clone();
    observed.polling.as_mut()?.yields = true;
    Some(judge(&observed)).filter(|verdict| verdict.class == Class::SpinLoop)
}

impl Spinning {
    /// Begins to count, if that was not done in this look.
    pub(super) fn begin(&mut self, slot: &Slot, now_ns: u64) -> bool {
        if self.counted || self.window.is_some() {
            return false;
        }
        // What lies there is the answer to an older question.
        drop(slot.mailbox.try_lock().and_then(|mut mail| mail.take()));
        self.window = Some(Window {
            since_ns: now_ns,
            polls: slot.poll_mark().polls(),
            frames: slot.progress(),
            captures: 0,
            woke_itself: 0,
            budget_exhausted: 0,
            mail: None,
        });
        true
    }

    /// Goes on, for a request of `age_ns` that has been looked at for `looked_ns`.
    pub(super) fn advance(
        &mut self,
        slot: &Slot,
        (age_ns, looked_ns): (u64, u64),
        now_ns: u64,
    ) -> Counted {
        let polls = slot.poll_mark().polls();
        let new = polls.saturating_sub(*self.polls.get_or_insert(polls));
        let often =
            u128::from(polls) * SECOND_NS >= u128::from(age_ns) * u128::from(OFTEN_A_SECOND);
        if often || (looked_ns >= RESTLESS_NS && new >= FEWEST) {
            self.begin(slot, now_ns);
        }
        let Some(window) = &mut self.window else {
            return Counted::No;
        };
        window.capture(slot);
        if !window.is_over(polls, now_ns) {
            return Counted::NotYet;
        }
        slot.want_capture(false);
        self.counted = true;
        let window = self.window.take();
        window.map_or(Counted::No, |window| window.close(slot, now_ns))
    }
}

impl Window {
    /// With no poll at all it is over soon: it waits now, or stands.
    fn is_over(&self, polls: u64, now_ns: u64) -> bool {
        let few = (1..FEWEST).contains(&polls.saturating_sub(self.polls));
        let length_ns = if few { LONG_WINDOW_NS } else { WINDOW_NS };
        now_ns.saturating_sub(self.since_ns) >= length_ns
    }

    /// Takes what the last captured poll has left, and asks for another.
    fn capture(&mut self, slot: &Slot) {
        let mail = slot.mailbox.try_lock().and_then(|mut mail| mail.take());
        if let Some(mail) = mail {
            self.captures += 1;
            // A used-up budget may wake by itself: that says nothing of the future.
            self.budget_exhausted += u32::from(mail.budget_exhausted);
            self.woke_itself += u32::from(!mail.budget_exhausted && woke_itself(&mail));
            let better = |known: &Mail| value(&mail) >= value(known);
            if self.mail.as_deref().is_none_or(better) {
                self.mail = Some(mail);
            }
        }
        slot.want_capture(self.captures < CAPTURES);
    }

    fn close(mut self, slot: &Slot, now_ns: u64) -> Counted {
        let polls = slot.poll_mark().polls().saturating_sub(self.polls);
        let frames = slot.progress().wrapping_sub(self.frames);
        let Some(mut mail) = self.mail.take().filter(|_| polls >= FEWEST) else {
            return Counted::No;
        };
        let window_ns = now_ns.saturating_sub(self.since_ns).max(1);
        let a_second = |n: f64| n * 1e9 / window_ns as f64;
        if self.woke_itself == self.captures {
            // Where it wakes itself is where it spins, whatever else it waits for.
            let leaves = &mut mail.waiting.leaves;
            leaves.sort_by_key(|leaf| leaf.kind != LeafKind::WokeItself);
        }
        let polling = Polling {
            window_ms: super::standing::ms(window_ns),
            polls_per_second: a_second(polls as f64),
            frames_per_second: a_second(f64::from(frames)),
            captures: self.captures,
            woke_itself: self.woke_itself,
            budget_exhausted: self.budget_exhausted,
            yields: false,
        };
        Counted::Yes(mail, polling)
    }
}

/// How much a captured poll says: one with a leaf more than one without, one that ended because its
/// budget was used up less than one that did not.
fn value(mail: &Mail) -> (bool, bool) {
    (!mail.waiting.leaves.is_empty(), !mail.budget_exhausted)
}
