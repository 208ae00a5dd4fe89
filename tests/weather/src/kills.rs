//! Many lives and deaths, a few at a time.

use std::sync::atomic::{AtomicU32, Ordering};

/// Processes that follow one another in one place before anybody reads what they have left.
const LIVES: u32 = 20;
/// Places at a time: most of a life is waiting.
const AT_ONCE: u32 = 4;

/// How many kills there are to be, at which random moments.
#[derive(Clone, Copy, Debug)]
pub struct Kills {
    /// Kills.
    pub number: u32,
    seed: u32,
}

impl Kills {
    /// As the command line says, `[KILLS [SEED]]`.
    pub fn from_arguments(usual: u32) -> Self {
        let mut numbers = std::env::args().skip(1).map_while(|word| word.parse().ok());
        Self {
            number: numbers.next().unwrap_or(usual),
            seed: numbers.next().unwrap_or(1),
        }
    }

    /// Lets `one` kill so many processes in one place, with a seed of its own, until all are killed; `add` sums up what
    /// it has found.
    ///
    /// # Panics
    ///
    /// When `one` does.
    pub fn sum<S: Default + Send>(
        self,
        one: impl Fn(u32, u64) -> S + Sync,
        add: impl Fn(&mut S, &S) + Sync,
    ) -> S {
        let next = AtomicU32::new(0);
        let places = self.number.div_ceil(LIVES);
        let work = &|| {
            let mut sum = S::default();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= places {
                    return sum;
                }
                let lives = LIVES.min(self.number - place * LIVES);
                let seed = u64::from(self.seed) << 32 | u64::from(place);
                add(&mut sum, &one(lives, seed));
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            workers.into_iter().fold(S::default(), |mut sum, worker| {
                add(&mut sum, &worker.join().expect("no panic"));
                sum
            })
        })
    }
}
