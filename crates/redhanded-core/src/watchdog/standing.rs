//! Polls that do not return, watched from early on: by the time a request is overdue its samples
//! are there, and a loop is proved instead of guessed.

use super::burst;
use super::clocks::Clocks;
use crate::case::{Sampled, fold};
use crate::engine::Engine;
use crate::registry::{Key, PollMark, Slot};
use crate::verdict::StandingPoll;
use crate::worker::Worker;
use redhanded_capture::{
    Activity, NoStack, RawStack, Sample, Sampler, Syscall, Thread, peer_of, waits_for,
};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Samples kept per poll.
const KEPT: usize = 20;
/// How long one sample may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_millis(40);

/// All polls that were seen standing.
#[derive(Default)]
pub(super) struct StandingPolls(HashMap<Key, Standing>);

/// One poll, from when it was first seen until it moves.
pub(super) struct Standing {
    pub(super) worker: &'static Worker,
    pub(super) generation: u32,
    pub(super) sequence: u64,
    pub(super) since_ns: u64,
    pub(super) samples: VecDeque<Sample>,
    pub(super) missing: Option<String>,
    /// Samples that could not be taken in time.
    pub(super) lost: u64,
    /// A look has found its request in it.
    looked_at: bool,
    pub(super) thread: Arc<Thread>,
    /// An address in the stack frame of the function that polls.
    frame: u64,
    /// Counters when sampling began, and when that was.
    before: Option<(Activity, u64)>,
    next_sample_ns: u64,
    /// What its thread had done when sampling began for the first time: CPU time counts across a pause as well.
    pub(super) first: Option<Activity>,
}

/// When to sample.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// A poll that has stood so long is sampled.
    pub(super) early_ns: u64,
    /// Time between two samples.
    pub(super) every_ns: u64,
}

impl StandingPolls {
    /// Notes which polls stand now and forgets those that have moved.
    pub(super) fn notice(&mut self, now_ns: u64) {
        self.0
            .retain(|key, standing| slot_of(*key).is_some_and(|slot| standing.still(slot)));
        for worker in Worker::all() {
            let Some(key) = worker.current() else {
                continue;
            };
            if let Some(slot) = slot_of(key) {
                self.watch(slot, worker, now_ns);
            }
        }
    }

    /// Begins to watch the poll that `slot` is inside of, if it is inside one.
    pub(super) fn watch(&mut self, slot: &'static Slot, worker: &'static Worker, now_ns: u64) {
        let mark = slot.poll_mark();
        let generation = slot.hand.generation();
        let known = self
            .0
            .get(&slot.key)
            .is_some_and(|s| s.sequence == mark.sequence && s.generation == generation);
        if mark.inside() && !known {
            self.0
                .insert(slot.key, Standing::new(worker, generation, mark, now_ns));
        }
    }

    /// Samples every poll that has stood for long enough and is due for a sample. Returns whether
    /// any poll stands that long.
    pub(super) fn sample(&mut self, sampler: &mut Sampler, pace: Pace, now_ns: u64) -> bool {
        let mut any = false;
        for (key, standing) in &mut self.0 {
            let Some(slot) = slot_of(*key) else { continue };
            if now_ns.saturating_sub(standing.since_ns) < pace.early_ns {
                continue;
            }
            any = true;
            if now_ns >= standing.next_sample_ns {
                standing.next_sample_ns = now_ns + pace.every_ns;
                standing.take_sample(slot, sampler, now_ns);
            }
        }
        any
    }

    /// How long the poll that `slot` is inside of has been seen standing; zero outside of one.
    pub(super) fn stood_ns(&self, slot: &Slot, now_ns: u64) -> u64 {
        let stands = self.0.get(&slot.key).filter(|s| s.still(slot));
        stands.map_or(0, |s| now_ns.saturating_sub(s.since_ns))
    }

    /// Requests that have stood in one poll for their whole threshold without a look at that, each with its
    /// generation; each poll once.
    pub(super) fn unseen(&mut self, now_ns: u64) -> Vec<(&'static Slot, u32)> {
        let mut unseen = Vec::new();
        for (key, standing) in &mut self.0 {
            let Some(slot) = slot_of(*key) else { continue };
            if standing.is_unseen(slot.slow_after_ns(), now_ns) {
                standing.looked_at = true;
                unseen.push((slot, standing.generation));
            }
        }
        unseen
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Standing> {
        self.0.get_mut(&key)
    }

    /// All polls that have stood for `early_ns`, but not the one of `except`.
    pub(super) fn others(
        &self,
        except: Option<&Slot>,
        early_ns: u64,
        now_ns: u64,
    ) -> impl Iterator<Item = (&'static Slot, &Standing)> {
        let except = except.map(|slot| slot.key);
        self.0
            .iter()
            .filter(move |(key, s)| {
                Some(**key) != except && now_ns.saturating_sub(s.since_ns) >= early_ns
            })
            .filter_map(|(key, s)| Some((slot_of(*key)?, s)))
    }

    /// Any stack that was sampled, to have its symbols ready.
    pub(super) fn any_stack(&self) -> Option<RawStack> {
        self.0
            .values()
            .find_map(|s| s.samples.front())
            .map(|s| s.stack.clone())
    }

    /// There was a pause of `lasted_ns`: nothing that was measured across it counts, but a poll that
    /// stood before and still does has stood all the time without it.
    pub(super) fn after_pause(&mut self, lasted_ns: u64) {
        for standing in self.0.values_mut() {
            standing.since_ns = standing.since_ns.saturating_add(lasted_ns);
            standing.samples.clear();
            standing.before = None;
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn slot_of(key: Key) -> Option<&'static Slot> {
    Engine::of(key)?.registry.slot(key)
}

impl Standing {
    fn new(worker: &'static Worker, generation: u32, mark: PollMark, now_ns: u64) -> Self {
        Self {
            worker,
            generation,
            sequence: mark.sequence,
            since_ns: now_ns,
            samples: VecDeque::new(),
            missing: None,
            lost: 0,
            looked_at: false,
            thread: worker.thread(),
            frame: 0,
            before: None,
            next_sample_ns: 0,
            first: None,
        }
    }

    /// It has stood for so long, and no look has found that.
    fn is_unseen(&self, slow_after_ns: u64, now_ns: u64) -> bool {
        !self.looked_at && now_ns.saturating_sub(self.since_ns) >= slow_after_ns
    }

    pub(super) fn still(&self, slot: &Slot) -> bool {
        slot.hand.generation() == self.generation && slot.poll_mark().sequence == self.sequence
    }

    /// Takes one sample; it counts only if the poll is the same afterwards.
    pub(super) fn take_sample(&mut self, slot: &Slot, sampler: &mut Sampler, now_ns: u64) {
        if self.before.is_none() {
            let activity = sampler.activity(&self.thread);
            self.first.get_or_insert(activity);
            self.before = Some((activity, now_ns));
        }
        let sample = sampler.sample(&self.thread, PATIENCE);
        let frame = slot.frame();
        if !self.still(slot) {
            return;
        }
        self.frame = frame;
        match sample {
            Ok(sample) => {
                if self.samples.len() == KEPT {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
            Err(why) => {
                self.lost += u64::from(matches!(why, NoStack::Busy | NoStack::Moved));
                self.missing = Some(format!("no stack of thread {}: {why}", self.thread.tid()))
            }
        }
    }

    /// Takes more samples than a record shows, which count if the poll is the same afterwards.
    pub(super) fn sample_more(&self, slot: &Slot, sampler: &mut Sampler) -> Vec<Sampled> {
        let more = burst::take(|| sampler.sample(&self.thread, PATIENCE).ok());
        if !self.still(slot) {
            return Vec::new();
        }
        let of_thread = |sample: Sample| Sampled::of_thread(sample.stack, self.frame);
        more.into_iter().map(of_thread).collect()
    }

    /// Most samples found it asleep; `None` without any.
    pub(super) fn is_asleep(&self) -> Option<bool> {
        let asleep = self.samples.iter().filter(|s| !s.on_cpu).count();
        (!self.samples.is_empty()).then_some(2 * asleep > self.samples.len())
    }

    /// Its samples, equal ones as one.
    pub(super) fn stacks(&self) -> Vec<Sampled> {
        let of_thread = |sample: &Sample| Sampled::of_thread(sample.stack.clone(), self.frame);
        fold(self.samples.iter().map(of_thread))
    }

    /// What the rules want to know, as of now.
    pub(super) fn observe(
        &mut self,
        sampler: &mut Sampler,
        clocks: &Clocks,
        now_ns: u64,
    ) -> (StandingPoll, redhanded_report::Thread) {
        self.looked_at = true;
        let now = sampler.activity(&self.thread);
        let since = |before: fn(&Activity) -> Option<u64>| {
            Some(before(&now)?.saturating_sub(before(&self.before.as_ref()?.0)?))
        };
        let window_ns = self
            .before
            .as_ref()
            .map_or(0, |(_, at)| now_ns.saturating_sub(*at));
        // A descriptor says something about the call only while the thread still sits in it.
        let same = |s: &&Syscall| {
            now.syscall
                .as_ref()
                .is_some_and(|n| n.number == s.number && n.args == s.args)
        };
        let syscall = self.common_syscall().filter(same);
        let on_cpu = self.samples.iter().filter(|s| s.on_cpu).count() as u32;
        let name = self.thread.name();
        let poll = StandingPoll {
            stood_ms: ms(now_ns.saturating_sub(self.since_ns)),
            window_ms: ms(window_ns),
            thread: name
                .clone()
                .unwrap_or_else(|| self.thread.tid().to_string()),
            samples: self.samples.len() as u32,
            on_cpu,
            asleep: self.samples.len() as u32 - on_cpu,
            cpu_ms: since(|a| a.cpu_ns).map(ms),
            run_queue_wait_ms: since(|a| a.run_queue_wait_ns).map(ms),
            throttled_ms: self
                .before
                .as_ref()
                .and_then(|(_, at)| clocks.may_be_throttled_since(*at))
                .map(ms),
            timeslices: since(|a| a.timeslices),
            waiting_for: syscall.and_then(waits_for),
            peer: syscall.and_then(peer_of).map(|mut peer| {
                peer.elapsed_ms = Some(ms(now_ns.saturating_sub(self.since_ns)));
                peer.inferred = true;
                peer
            }),
            syscall: syscall.map(|s| s.name().to_owned()),
            shared_frames: shared_from_root(self.samples.iter().map(|s| &s.stack)) as u32,
        };
        let mut thread = redhanded_report::Thread::default();
        thread.tid = self.thread.tid();
        thread.name = name;
        thread.state = now.state.map(String::from);
        thread.syscall = poll.syscall.clone();
        (thread.cpu_ms, thread.run_queue_wait_ms) = (poll.cpu_ms, poll.run_queue_wait_ms);
        (poll, thread)
    }

    /// The system call that all sleeping samples were in, if it was one and the same.
    fn common_syscall(&self) -> Option<&Syscall> {
        let mut calls = self
            .samples
            .iter()
            .filter(|s| !s.on_cpu)
            .map(|s| s.syscall.as_ref());
        let first = calls.next()??;
        calls
            .all(|c| c.is_some_and(|c| c.number == first.number && c.args == first.args))
            .then_some(first)
    }
}

/// How many physical frames all stacks share, counted from the thread's start.
pub(super) fn shared_from_root<'a>(stacks: impl Iterator<Item = &'a RawStack> + Clone) -> usize {
    let root = |stack: &'a RawStack| stack.frames.iter().rev().map(|f| f.function);
    let mut all = stacks.clone();
    let Some(first) = all.next() else { return 0 };
    let shared = |other: &'a RawStack| {
        root(first)
            .zip(root(other))
            .take_while(|(a, b)| a == b && a.is_some())
            .count()
    };
    all.map(shared).min().unwrap_or(first.frames.len())
}

pub(super) fn ms(ns: u64) -> f64 {
    (ns as f64 / 1_000.0).round() / 1_000.0
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_stood_before_a_pause_has_stood_without_it() {
        let mark = PollMark {
            sequence: 1,
            worker: Worker::here().index(),
        };
        let key = Key::new(0, 0, 1);
        let mut polls = StandingPolls::default();
        let mut standing = Standing::new(Worker::here(), 1, mark, 1_000);
        let mut sampler = Sampler::new();
        standing.before = Some((sampler.activity(&standing.thread), 1_000));
        polls.0.insert(key, standing);
        // Seen at 1,500 for the last time, and meant to be seen at 1,600.
        polls.after_pause(5_000);
        let standing = polls.get_mut(key).expect("it still stands");
        assert_eq!(standing.since_ns, 6_000);
        assert!(standing.before.is_none(), "its counters ran on");
    }

    #[test]
    fn a_poll_that_stands_for_the_threshold_is_wanted_until_a_look_has_found_it() {
        let mark = PollMark {
            sequence: 1,
            worker: Worker::here().index(),
        };
        let mut standing = Standing::new(Worker::here(), 1, mark, 1_000);
        assert!(!standing.is_unseen(500, 1_499));
        assert!(standing.is_unseen(500, 1_500));
        standing.observe(&mut Sampler::new(), &Clocks::default(), 1_600);
        assert!(!standing.is_unseen(500, 9_000));
    }
}
