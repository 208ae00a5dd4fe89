//! A shutdown: what is still in flight is looked at once, as if it were overdue, and filed.

use super::open_case::OpenCase;
use super::{Next, Watchdog, route_of};
use crate::copied::kind;
use crate::family;
use crate::health::plain;
use crate::registry::{After, Slot, Stage};
use redhanded_report::{Class, Confidence, Evidence, Role, Verdict};
use std::collections::HashMap;

/// So many are looked at, the oldest first.
const LOOKED_AT: usize = 100;
/// So many routes are named of those that are not.
const ROUTES: usize = 20;

/// What a shutdown has found.
pub(super) struct LastLook {
    in_flight: u64,
    /// Caught before.
    caught: u64,
    looked_at: u64,
    rest: HashMap<String, u64>,
}

impl Watchdog {
    /// When the process shuts down: opens cases of what is in flight, and tells when all of them are looked at.
    pub(super) fn look_before_the_end(&mut self, now_ns: u64) {
        let Some(until_ns) = self.engine.health.last_look_until_ns() else {
            return;
        };
        if self.last_look.is_none() {
            self.last_look = Some(self.begin_last_look(now_ns));
        }
        let is_out_of_time = now_ns >= until_ns;
        let is_under_way = |case: &OpenCase| case.gathering.is_some();
        if self.open.iter().any(is_under_way) && !is_out_of_time {
            return;
        }
        if let Some(mut look) = self.last_look.take() {
            for case in self.open.iter_mut().filter(|c| c.at_shutdown && !c.filed) {
                // There was no time for it, or it has ended meanwhile.
                case.dismissed = true;
                case.gathering = None;
                look.looked_at = look.looked_at.saturating_sub(1);
                if !case.slot.hand.has_ended() {
                    look.leave(case.slot);
                }
            }
            self.file_last_look(&look, now_ns);
        }
        self.engine.health.has_looked();
    }

    fn begin_last_look(&mut self, now_ns: u64) -> LastLook {
        let is_request = |slot: &&'static Slot| !slot.is_child() && slot.stage() != Stage::Head;
        let mut live: Vec<_> = self.engine.registry.live().filter(is_request).collect();
        // What may rest for hours says least.
        live.sort_by_key(|slot| (slot.stage() == Stage::LongLived, slot.started_ns()));
        let mut look = LastLook {
            in_flight: live.len() as u64,
            caught: 0,
            looked_at: 0,
            rest: HashMap::new(),
        };
        for slot in live {
            if slot.hand.is_kept() {
                look.caught += 1;
            } else if look.looked_at as usize >= LOOKED_AT {
                look.leave(slot);
            } else {
                look.looked_at += u64::from(self.open_last_case(slot, now_ns));
            }
        }
        look
    }

    /// `false` if it has ended just now.
    fn open_last_case(&mut self, slot: &'static Slot, now_ns: u64) -> bool {
        if slot.hand.pin(None).is_none() {
            return false;
        }
        slot.rearm(u64::MAX);
        slot.set_ended_ns(0);
        let copied = slot.facts.read();
        let route = route_of(&slot.facts);
        let mut case = OpenCase::new(slot, family::id_of(slot), copied, route, now_ns);
        case.at_shutdown = true;
        self.open.push(case);
        if slot.hand.unpin(true) == After::Recycle {
            slot.recycle_seen();
        }
        true
    }

    fn file_last_look(&mut self, look: &LastLook, now_ns: u64) {
        if look.in_flight == 0 {
            return;
        }
        let verdict = Verdict::new(
            Class::Unknown,
            Role::Bystander,
            Confidence::Suspected,
            look.cause(),
        );
        self.file_trouble(&"shutdown", verdict, 0, Evidence::default(), now_ns);
    }

    /// The next round of a watchdog that is asked for its last look.
    pub(super) fn next_before_the_end(&self, next: Next, now_ns: u64) -> Next {
        match self.last_look {
            Some(_) => Next::At(now_ns + super::LOOKING_NS),
            None => next,
        }
    }
}

impl LastLook {
    /// It has no record of its own, and is counted by its route.
    fn leave(&mut self, slot: &'static Slot) {
        let facts = slot.facts.read();
        let text = |kind| facts.iter().find(|fact| fact.kind == kind);
        let text = |kind| text(kind).map(|fact| plain(&fact.bytes));
        let name = match (text(kind::JOB), text(kind::METHOD), text(kind::ROUTE)) {
            (Some(job), ..) => format!("JOB {job}"),
            (_, Some(method), Some(route)) => format!("{method} {route}"),
            (_, Some(method), None) => format!("{method} without a route"),
            _ => "unknown".to_owned(),
        };
        *self.rest.entry(name).or_default() += 1;
    }

    fn cause(&self) -> String {
        let (in_flight, caught, looked_at) = (self.in_flight, self.caught, self.looked_at);
        let mut cause = format!(
            "{in_flight} in flight when the process was shut down: {caught} caught before, {looked_at} with records of their own now"
        );
        let rest: u64 = self.rest.values().sum();
        if rest == 0 {
            return cause;
        }
        let mut routes: Vec<_> = self.rest.iter().collect();
        routes.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        let shown = routes.iter().take(ROUTES);
        let shown: Vec<String> = shown.map(|(name, n)| format!("{n} {name}")).collect();
        cause += &format!(", {rest} without: {}", shown.join(", "));
        if let Some(more) = routes.len().checked_sub(ROUTES).filter(|more| *more > 0) {
            cause += &format!(", and of {more} more routes");
        }
        cause
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_record_is_counted_by_route() {
        let mut look = LastLook {
            in_flight: 140,
            caught: 2,
            looked_at: 100,
            rest: HashMap::from([("GET /b".into(), 8), ("GET /a".into(), 30)]),
        };
        let cause = look.cause();
        assert!(
            cause.ends_with("38 without: 30 GET /a, 8 GET /b"),
            "{cause}"
        );
        look.rest = (0..50).map(|n| (format!("GET /{n}"), 1)).collect();
        let cause = look.cause();
        assert!(cause.ends_with("and of 30 more routes"), "{cause}");
        look.rest.clear();
        assert!(look.cause().ends_with("100 with records of their own now"));
    }
}
