//! A look at the children of a request that waits: what it waits for may be one of them.

use super::Parts;
use super::look::{self, Found, Gathering};
use super::standing::ms;
use crate::case::ChildSeen;
use crate::child::Born;
use crate::family;
use crate::registry::{After, CHILDREN, Slot};
use crate::verdict::{Look, judge};

/// Children that are looked at, of all a request has.
const LOOKED_AT: usize = 8;

/// The looks at the children of one request.
pub(super) struct ChildLooks {
    looks: Vec<ChildLook>,
    /// What is not known of its children, in plain words.
    missing: Vec<String>,
}

/// A look at one child. Its slot is kept as long as this lives, so that no other request gets it.
struct ChildLook {
    slot: &'static Slot,
    /// It is kept by us and not by a case of its own.
    kept: bool,
    born: Born,
    gathering: Gathering,
    found: Option<Found>,
}

impl ChildLooks {
    /// Begins to look at the children of the request in `parent`: first those that are inside a poll.
    pub(super) fn begin(parent: &'static Slot, now_ns: u64) -> Self {
        let generation = parent.hand.generation();
        let known = parent.extra(generation, |extra| extra.children());
        let (known, unlisted) = known.unwrap_or_default();
        let live = known
            .into_iter()
            .filter_map(|(key, generation)| Some((family::slot_of(key, generation)?, generation)));
        let mut live: Vec<_> = live.collect();
        live.sort_by_key(|(slot, _)| !slot.poll_mark().inside());
        let mut missing = Vec::new();
        if let Some(more) = live.len().checked_sub(LOOKED_AT).filter(|n| *n > 0) {
            missing.push(format!("{more} more children were not looked at"));
        }
        if unlisted > 0 {
            let text = format!(
                "{unlisted} children were made when {CHILDREN} others were in flight, and are not known"
            );
            missing.push(text);
        }
        live.truncate(LOOKED_AT);
        let looks = live
            .into_iter()
            .filter_map(|(slot, generation)| ChildLook::begin(slot, generation, now_ns))
            .collect();
        Self { looks, missing }
    }

    /// There are none that can be seen.
    pub(super) fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Goes on; `true` when every child has been looked at.
    pub(super) fn advance(&mut self, parts: &mut Parts<'_>, now_ns: u64) -> bool {
        self.looks
            .iter_mut()
            .filter(|look| look.found.is_none())
            .for_each(|look| look.found = look.gather(parts, now_ns));
        self.looks.iter().all(|look| look.found.is_some())
    }

    /// What was seen of the children that are still there, and what is not known.
    pub(super) fn close(mut self) -> (Vec<ChildSeen>, Vec<String>) {
        let seen = self.looks.iter_mut().filter_map(ChildLook::seen).collect();
        (seen, self.missing)
    }
}

impl ChildLook {
    fn begin(slot: &'static Slot, generation: u32, now_ns: u64) -> Option<Self> {
        // A case of its own keeps it already, and releases it.
        let kept = !slot.hand.is_kept();
        if kept {
            slot.hand.pin(Some(generation))?;
            if slot.hand.unpin(true) == After::Recycle {
                slot.recycle_seen();
                return None;
            }
        }
        Some(Self {
            slot,
            kept,
            born: Born::of(slot),
            gathering: Gathering::begin(now_ns),
            found: None,
        })
    }

    fn gather(&mut self, parts: &mut Parts<'_>, now_ns: u64) -> Option<Found> {
        let queued = self.born.blocking && self.slot.poll_mark().polls() == 0;
        if queued && !self.slot.hand.has_ended() {
            let for_ms = ms(parts.pauses.charged(self.slot.started_ns(), now_ns));
            return Some(look::queued(
                self.slot,
                Look::Queued { for_ms },
                parts,
                now_ns,
            ));
        }
        let mut found = look::gather(self.slot, &mut self.gathering, parts, now_ns)?;
        found.observed.on_blocking_thread = self.born.blocking;
        Some(found)
    }

    fn seen(&mut self) -> Option<ChildSeen> {
        let found = self.found.take()?;
        if self.slot.hand.has_ended() {
            return None;
        }
        Some(ChildSeen {
            name: self.born.name.take(),
            spawned_at: self.born.at.take(),
            verdict: judge(&found.observed),
            stands: found.observed.poll.is_some(),
            held_bytes: found.observed.memory.as_ref().map_or(0, |m| m.held_bytes),
            samples: found.observed.poll.as_ref().map_or(0, |poll| poll.samples),
            referred: found.observed.referred,
            stacks: found.stacks,
        })
    }
}

impl Drop for ChildLook {
    fn drop(&mut self) {
        self.slot.want_capture(false);
        if self.kept && self.slot.hand.release() == After::Recycle {
            self.slot.recycle_seen();
        }
    }
}
