//! What the watchdog adds to the flight recorder: that it lives, where each request is, what was found.

use super::Watchdog;
use crate::case::Case;
use crate::copied::kind;
use crate::family;
use crate::recorder::note::{CallNow, RecordAt, SeenNow};
use crate::registry::{Extra, Slot, Stage};
use crate::worker::Worker;
use redhanded_report::Phase;
use std::collections::HashMap;

/// How often all records are brought up to date: what has just begun is known by what was asked.
const EVERY_NS: u64 = 1_000_000_000;

/// Numbers and names of threads, by worker.
type Threads = HashMap<u16, (u32, Option<String>)>;

impl Watchdog {
    /// Says in the flight recorder that this process lives, and now and then where its requests are.
    pub(super) fn keep_records(&mut self, now_ns: u64) {
        let Some(recorder) = &self.engine.recorder else {
            return;
        };
        recorder.alive(now_ns);
        if now_ns.saturating_sub(self.recorded_ns) < EVERY_NS {
            return;
        }
        self.recorded_ns = now_ns;
        let mut threads = Threads::new();
        for slot in self.engine.registry.live() {
            note(slot, &mut threads, now_ns);
        }
    }

    /// Before anybody hears of a case it is in the flight recorder.
    pub(super) fn record_case(&self, slot: &'static Slot, case: &Case, now_ns: u64) {
        if let Some(record) = case.record {
            note(slot, &mut Threads::new(), now_ns);
            record.judge(&case.id, &case.verdict, case.fingerprint);
        }
    }
}

fn note(slot: &'static Slot, threads: &mut Threads, now_ns: u64) {
    let Some(record) = RecordAt::of(slot) else {
        return;
    };
    let mark = slot.poll_mark();
    let thread = (mark.sequence > 0).then(|| {
        let known = threads.entry(mark.worker).or_insert_with(|| {
            let thread = Worker::at(mark.worker).map(Worker::thread);
            thread.map_or((0, None), |thread| (thread.tid(), thread.name()))
        });
        known.clone()
    });
    record.see(&SeenNow {
        at_ns: now_ns,
        slow_after_ns: slot.slow_after_ns(),
        phase: phase(slot),
        polls: mark.polls(),
        thread,
        peer: peer(slot),
    });
}

fn phase(slot: &Slot) -> Phase {
    match slot.stage() {
        _ if slot.facts.has(kind::JOB) => Phase::Job,
        Stage::Head => Phase::RequestHead,
        Stage::Handler => Phase::Handler,
        Stage::LongLived if slot.status().is_none() => Phase::Handler,
        _ => Phase::ResponseBody,
    }
}

/// The first outbound call that is open and waits; never waits for whoever makes one just now.
fn peer(slot: &'static Slot) -> Option<CallNow> {
    let request = family::request_of(slot);
    let open = |extra: &Extra| {
        let mut open = extra.calls.open().iter();
        let call = open.find(|call| !(call.is_held() || call.has_ended()))?;
        let phase = call.phase().map(|phase| phase.as_str());
        Some(CallNow {
            kind: call.kind.clone().into_owned(),
            host: call.row.host.to_string(),
            port: call.row.port,
            phase,
        })
    };
    request.try_extra(request.hand.generation(), open).flatten()
}
