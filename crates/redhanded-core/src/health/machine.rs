//! When a node is ready, when it is alive, and which share of it is free: pure, one look after the other.

use super::Holder;
use std::fmt;

/// The shortest time in which nothing may stand before a node is ready again.
const CALM_NS: u64 = 1_000_000_000;
/// The longest: it doubles for who falls back soon.
const CALM_AT_MOST_NS: u64 = 16 * CALM_NS;
/// So soon.
const RELAPSE_NS: u64 = 30 * CALM_NS;
/// What is less certain has to stand for so many times the limit.
const UNCERTAIN: u64 = 4;
/// Half of the workers may be held for so many times the limit.
const HALF: u64 = 10;

/// Thresholds, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// All workers of a runtime may stand for so long.
    pub(crate) unready_ns: u64,
    /// And for so long before the process should be restarted.
    pub(crate) restart_ns: u64,
}

/// What one look has found of a runtime.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuntimeLook {
    pub(crate) workers: u32,
    /// For how long all of them have stood, each by its own process's doing; zero if they do not.
    pub(crate) all_stand_ns: u64,
    /// All of them were seen in polls of requests.
    pub(crate) all_known: bool,
    /// Workers that are held, each for how long.
    pub(crate) held_ns: Vec<u64>,
    /// Requests that were judged to spin: they are polled all the time, and get nowhere.
    pub(crate) spinning: u32,
    pub(crate) culprit: Option<Holder>,
}

/// How many workers are held, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Held {
    All { workers: u32 },
    Half { held: u32, workers: u32 },
}

/// Why a node is not ready.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Why {
    pub(crate) held: Held,
    pub(crate) for_ms: f64,
    pub(crate) culprit: Option<Holder>,
    /// It stands no more, and will be ready soon if that lasts.
    pub(crate) is_over: bool,
}

impl Why {
    /// The same without figures that change all the time.
    pub(crate) fn headline(&self) -> String {
        let mut text = match self.held {
            Held::All { workers: 1 } => "the only worker of a runtime".to_owned(),
            Held::All { workers } => format!("all {workers} workers of a runtime"),
            Held::Half { held, workers } => format!("{held} of {workers} workers of a runtime"),
        };
        text += match (self.is_over, self.held) {
            (false, Held::All { workers: 1 }) => " stands",
            (false, Held::All { .. }) => " stand",
            (false, Held::Half { held: 1, .. }) => " is held",
            (false, Held::Half { .. }) => " are held",
            (true, _) => " stood until a moment ago",
        };
        match &self.culprit {
            Some(culprit) => text + &format!(": {culprit}"),
            None => text,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.for_ms / 1_000.0;
        write!(f, "{}; for {seconds:.1} s", self.headline())
    }
}

/// What is told of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) ready: bool,
    pub(crate) alive: bool,
    pub(crate) free_percent: u8,
    pub(crate) why: Option<Why>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            ready: true,
            alive: true,
            free_percent: 100,
            why: None,
        }
    }
}

/// A node from look to look.
#[derive(Debug)]
pub(crate) struct Node {
    limits: Limits,
    state: State,
    /// Nothing stands since then, while it is not ready.
    calm_since_ns: Option<u64>,
    /// More is free than is told, since then.
    freer_since_ns: Option<u64>,
    calm_ns: u64,
    ready_since_ns: Option<u64>,
}

impl Node {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::default(),
            calm_since_ns: None,
            freer_since_ns: None,
            calm_ns: CALM_NS,
            ready_since_ns: None,
        }
    }

    /// Nothing stands, and nothing else is told.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == State::default()
    }

    /// What a look at all runtimes makes of it.
    pub(crate) fn look(&mut self, runtimes: &[RuntimeLook], now_ns: u64) -> State {
        let why = runtimes.iter().filter_map(|r| self.limits.broken_by(r));
        let why = why.max_by(|a, b| a.for_ms.total_cmp(&b.for_ms));
        match why {
            Some(why) => self.stands(why, now_ns),
            None => self.moves(now_ns),
        }
        let restart_ns = self.limits.restart_ns;
        if runtimes.iter().any(|r| r.all_stand_ns >= restart_ns) {
            self.state.alive = false;
        }
        self.share(self.limits.free_percent(runtimes), now_ns);
        self.state.clone()
    }

    /// For `lasted_ns` nobody ran: that is neither standing nor moving.
    pub(crate) fn after_pause(&mut self, lasted_ns: u64) {
        let times = [
            &mut self.calm_since_ns,
            &mut self.freer_since_ns,
            &mut self.ready_since_ns,
        ];
        for since_ns in times.into_iter().flatten() {
            *since_ns = since_ns.saturating_add(lasted_ns);
        }
    }

    fn stands(&mut self, why: Why, now_ns: u64) {
        if self.state.ready {
            let soon = |since_ns| now_ns.saturating_sub(since_ns) < RELAPSE_NS;
            self.calm_ns = if self.ready_since_ns.is_some_and(soon) {
                self.calm_ns.saturating_mul(2).min(CALM_AT_MOST_NS)
            } else {
                CALM_NS
            };
        }
        self.state.ready = false;
        self.state.why = Some(why);
        self.calm_since_ns = None;
    }

    fn moves(&mut self, now_ns: u64) {
        if self.state.ready {
            return;
        }
        if let Some(why) = &mut self.state.why {
            why.is_over = true;
        }
        let since_ns = *self.calm_since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) >= self.calm_ns {
            self.state = State {
                free_percent: self.state.free_percent,
                ..State::default()
            };
            self.calm_since_ns = None;
            self.ready_since_ns = Some(now_ns);
        }
    }

    /// Less is told at once, more when it has lasted.
    fn share(&mut self, free_percent: u8, now_ns: u64) {
        if free_percent <= self.state.free_percent {
            self.state.free_percent = free_percent;
            self.freer_since_ns = None;
            return;
        }
        let since_ns = *self.freer_since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) >= CALM_NS {
            self.state.free_percent = free_percent;
            self.freer_since_ns = None;
        }
    }
}

impl Limits {
    fn broken_by(self, runtime: &RuntimeLook) -> Option<Why> {
        let workers = runtime.workers;
        let why = |held, for_ns: u64| Why {
            held,
            for_ms: for_ns as f64 / 1e6,
            culprit: runtime.culprit.clone(),
            is_over: false,
        };
        let times = if runtime.all_known { 1 } else { UNCERTAIN };
        if runtime.all_stand_ns >= self.unready_ns.saturating_mul(times) {
            return Some(why(Held::All { workers }, runtime.all_stand_ns));
        }
        let half_ns = self.unready_ns.saturating_mul(HALF);
        let long = runtime.held_ns.iter().filter(|ns| **ns >= half_ns);
        let held = (long.clone().count() as u32).saturating_add(runtime.spinning);
        let is_half = held > 0 && held.saturating_mul(2) >= workers;
        let longest_ns = long.max().copied().unwrap_or(half_ns);
        is_half.then(|| why(Held::Half { held, workers }, longest_ns))
    }

    /// Rounded; 1 at least while any worker is free.
    fn free_percent(self, runtimes: &[RuntimeLook]) -> u8 {
        let held = |r: &RuntimeLook| {
            let long = r.held_ns.iter().filter(|ns| **ns >= self.unready_ns);
            let held = (long.count() as u32).saturating_add(r.spinning);
            u64::from(held.min(r.workers))
        };
        let workers: u64 = runtimes.iter().map(|r| u64::from(r.workers)).sum();
        let held: u64 = runtimes.iter().map(held).sum();
        let free = workers.saturating_sub(held);
        if workers == 0 {
            return 100;
        }
        let percent = (free * 200 + workers) / (2 * workers);
        percent.clamp(u64::from(free > 0), 100) as u8
    }
}

#[cfg(all(test, not(redhanded_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const LIMITS: Limits = Limits {
        unready_ns: 300 * MS,
        restart_ns: 30_000 * MS,
    };

    fn all(for_ms: u64) -> RuntimeLook {
        RuntimeLook {
            workers: 2,
            all_stand_ns: for_ms * MS,
            all_known: true,
            held_ns: vec![for_ms * MS; 2],
            ..RuntimeLook::default()
        }
    }

    fn held(workers: u32, held_ms: &[u64]) -> RuntimeLook {
        RuntimeLook {
            workers,
            held_ns: held_ms.iter().map(|ms| ms * MS).collect(),
            ..RuntimeLook::default()
        }
    }

    /// Looks every 100 ms until it is ready; returns for how long it was not, in milliseconds.
    fn calm(node: &mut Node, from_ms: u64) -> u64 {
        (0..1_000)
            .map(|n| n * 100)
            .find(|ms| node.look(&[held(2, &[])], (from_ms + ms) * MS).ready)
            .expect("ready some day")
    }

    #[test]
    fn all_workers_that_stand_make_it_unready_and_moving_ones_ready_after_a_while() {
        let mut node = Node::new(LIMITS);
        assert!(node.look(&[all(299)], 0).ready);
        let state = node.look(&[all(300)], 100 * MS);
        assert!(!state.ready && state.alive);
        assert_eq!(state.free_percent, 0);
        assert!(
            state
                .why
                .is_some_and(|w| w.to_string().contains("all 2 workers"))
        );
        assert_eq!(calm(&mut node, 1_000), 1_000);
        assert_eq!(node.look(&[], 9_000 * MS).why, None);
    }

    #[test]
    fn who_falls_back_has_to_be_calm_for_longer_each_time() {
        let mut node = Node::new(LIMITS);
        let (mut at_ms, mut calms) = (0, Vec::new());
        for _ in 0..6 {
            node.look(&[all(400)], at_ms * MS);
            let took = calm(&mut node, at_ms + 100);
            calms.push(took);
            at_ms += took + 200;
        }
        assert_eq!(calms, [1_000, 2_000, 4_000, 8_000, 16_000, 16_000]);
        node.look(&[all(400)], (at_ms + 60_000) * MS);
        assert_eq!(calm(&mut node, at_ms + 60_100), 1_000, "long ago");
    }

    #[test]
    fn it_is_not_alive_when_all_have_stood_for_long() {
        let mut node = Node::new(LIMITS);
        assert!(node.look(&[all(29_999)], 0).alive);
        assert!(!node.look(&[all(30_000)], MS).alive);
        assert!(!node.look(&[held(2, &[])], 2 * MS).alive, "not so soon");
        calm(&mut node, 3);
        assert!(node.look(&[], 9_000 * MS).alive);
    }

    #[test]
    fn half_of_the_workers_may_be_held_for_a_while_and_less_for_ever() {
        let ready = |look: RuntimeLook| Node::new(LIMITS).look(&[look], 0).ready;
        assert!(ready(held(4, &[2_999, 9_000])));
        assert!(!ready(held(4, &[3_000, 9_000])));
        assert!(ready(held(4, &[900_000])));
        assert!(!ready(held(2, &[9_000])));
        let spins = |workers, spinning| RuntimeLook {
            spinning,
            ..held(workers, &[])
        };
        assert!(ready(spins(4, 1)) && !ready(spins(4, 2)));
        assert!(ready(held(0, &[])), "a runtime that is gone");
    }

    #[test]
    fn tasks_that_nobody_watches_have_to_stand_for_longer() {
        let ready = |for_ms| {
            let look = RuntimeLook {
                all_known: false,
                held_ns: Vec::new(),
                ..all(for_ms)
            };
            Node::new(LIMITS).look(&[look], 0).ready
        };
        assert!(ready(1_199) && !ready(1_200));
    }

    #[test]
    fn the_share_falls_at_once_and_rises_when_it_has_lasted() {
        let mut node = Node::new(LIMITS);
        let mut share =
            |held_ms: &[u64], at_ms: u64| node.look(&[held(4, held_ms)], at_ms * MS).free_percent;
        assert_eq!(share(&[299], 0), 100);
        assert_eq!(share(&[300], 100), 75);
        assert_eq!(share(&[], 200), 75);
        assert_eq!(share(&[400], 300), 75);
        assert_eq!(share(&[], 400), 75);
        assert_eq!(share(&[], 1_300), 75);
        assert_eq!(share(&[], 1_400), 100);
    }

    #[test]
    fn a_pause_is_not_a_time_in_which_workers_moved() {
        let mut node = Node::new(LIMITS);
        node.look(&[all(400)], 0);
        node.look(&[], 100 * MS);
        node.after_pause(60_000 * MS);
        assert!(!node.look(&[], 60_200 * MS).ready);
        assert!(node.look(&[], 61_100 * MS).ready);
    }

    #[test]
    fn a_node_can_park_only_when_nothing_else_is_to_be_told() {
        let mut node = Node::new(LIMITS);
        assert!(node.is_settled());
        node.look(&[held(2, &[400])], 0);
        assert!(!node.is_settled(), "its share has to rise");
        node.look(&[], 100 * MS);
        node.look(&[], 1_100 * MS);
        assert!(node.is_settled());
    }

    proptest! {
        #[test]
        fn whatever_is_seen_the_share_is_one_and_a_calm_node_is_ready(
            looks in proptest::collection::vec((0_u32..9, any::<u64>(), proptest::collection::vec(any::<u64>(), 0..9), 0_u32..9, any::<bool>()), 0..9)
        ) {
            let mut node = Node::new(LIMITS);
            let look = |(workers, all_stand_ns, held_ns, spinning, all_known)| RuntimeLook {
                workers, all_stand_ns, held_ns, spinning, all_known, culprit: None,
            };
            let looks: Vec<_> = looks.into_iter().map(look).collect();
            for (n, runtimes) in looks.chunks(2).enumerate() {
                let state = node.look(runtimes, n as u64 * 100 * MS);
                prop_assert!(state.free_percent <= 100);
                prop_assert!(state.alive || !state.ready);
                prop_assert_eq!(state.ready, state.why.is_none());
            }
            calm(&mut node, 1_000);
            prop_assert!(node.look(&[], 100_000 * MS).alive);
        }
    }
}
