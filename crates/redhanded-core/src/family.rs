//! Requests and their children: who works for whom, and by which id a request is known.

use crate::copied::TraceIds;
use crate::engine::Engine;
use crate::recorder::note::RecordAt;
use crate::registry::{Key, Slot, Stage};

/// The slot of `key`, if the request that had it in `generation` still has it.
pub(crate) fn slot_of(key: Key, generation: u32) -> Option<&'static Slot> {
    let slot = Engine::of(key)?.registry.slot(key)?;
    (slot.hand.generation() == generation && slot.hand.looks_live()).then_some(slot)
}

/// The request that a child works for, while that is in flight.
pub(crate) fn live_parent(slot: &Slot) -> Option<&'static Slot> {
    let (key, generation) = slot.parent()?;
    slot_of(key, generation)
}

/// The request that `slot` belongs to: its parent while that is in flight, else itself.
pub(crate) fn request_of(slot: &'static Slot) -> &'static Slot {
    live_parent(slot).unwrap_or(slot)
}

/// Whose report tells of what happens in `slot`: that of its request, if that can be overdue
/// itself; else its own.
pub(crate) fn reported_by(slot: &'static Slot) -> &'static Slot {
    let judged_by_age = |parent: &&Slot| {
        let stage = parent.stage();
        stage != Stage::LongLived && !stage.is_stream()
    };
    live_parent(slot).filter(judged_by_age).unwrap_or(slot)
}

/// The id by which what happens in `slot` is reported; fixed at first use.
pub(crate) fn id_of(slot: &'static Slot) -> String {
    let request = reported_by(slot);
    id_in(request, request.hand.generation()).unwrap_or_else(new_id)
}

/// The id of the request that has `slot` in `generation`; `None` if that is over.
pub(crate) fn id_in(slot: &Slot, generation: u32) -> Option<String> {
    slot.extra(generation, |extra| {
        extra.id.get_or_insert_with(new_id).clone()
    })
}

/// What `of` makes of the place in its trace of the request that has `slot` in `generation`, fixed at
/// first use; `None` if that is over.
pub(crate) fn with_trace<R>(
    slot: &Slot,
    generation: u32,
    of: impl FnOnce(&TraceIds) -> R,
) -> Option<R> {
    slot.extra(generation, |extra| {
        let ids = extra.trace.get_or_insert_with(|| {
            let ids = TraceIds::of(&slot.facts.read(), Engine::rule_of(slot), slot.is_keep());
            if let Some(record) = RecordAt::of(slot) {
                record.trace(&ids);
            }
            ids
        });
        of(ids)
    })
}

/// An id that nobody has.
pub(crate) fn new_id() -> String {
    ulid::Ulid::generate().to_string()
}
