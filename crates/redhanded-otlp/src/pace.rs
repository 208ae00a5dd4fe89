//! When to try again.

use crate::ids;
use std::time::Duration;
use tokio::time::Instant;

/// First pause before another attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A collector that asks for more patience than this is asked all the same.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// For how long a collector is left alone that has `asked` for it.
pub(crate) fn patience(asked: Option<Duration>) -> Duration {
    asked.unwrap_or_default().min(MOST_PATIENCE)
}

/// The rhythm of attempts: exponential pauses with jitter, and what the collector asks for.
pub(crate) struct Pace {
    longest: Duration,
    pause: Duration,
    /// Since when there was no answer, if the last attempt had none.
    failed: Option<Failed>,
}

struct Failed {
    /// When to try again.
    next: Instant,
    /// When to try again if somebody waits for it.
    hurried: Instant,
}

impl Pace {
    /// Pauses grow up to about `longest`.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            pause: FIRST_PAUSE.min(longest),
            failed: None,
        }
    }

    /// The collector answers.
    pub(crate) fn answered(&mut self) {
        *self = Self::new(self.longest);
    }

    /// It does not; `asked` is the time that it asked for.
    pub(crate) fn failed(&mut self, asked: Option<Duration>) {
        let now = Instant::now();
        let asked = patience(asked);
        let after = |pause: Duration| now + jittered(pause).max(asked);
        self.failed = Some(Failed {
            next: after(self.pause),
            hurried: after(FIRST_PAUSE.min(self.longest)),
        });
        self.pause = (self.pause * 2).min(self.longest);
    }

    /// Whether the last attempt had no answer.
    pub(crate) fn is_away(&self) -> bool {
        self.failed.is_some()
    }

    /// When the next attempt is due, sooner if somebody waits; `None` is at once.
    pub(crate) fn due(&self, hurry: bool) -> Option<Instant> {
        let failed = self.failed.as_ref()?;
        Some(if hurry {
            failed.hurried.min(failed.next)
        } else {
            failed.next
        })
    }
}

/// Half to one and a half times `pause`, so that a fleet does not come back in step.
fn jittered(pause: Duration) -> Duration {
    let [random, ..] = ids::random().to_be_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pace: &Pace, hurry: bool) -> Duration {
        pace.due(hurry).unwrap() - Instant::now()
    }

    #[test]
    fn pauses_differ_within_bounds() {
        let pauses: Vec<_> = (0..100)
            .map(|_| jittered(Duration::from_millis(200)))
            .collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (100..=300).contains(&pause.as_millis())),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_anew() {
        let longest = Duration::from_secs(5);
        let mut pace = Pace::new(longest);
        assert!(!pace.is_away() && pace.due(false).is_none());
        for _ in 0..20 {
            pace.failed(None);
        }
        let long = wait(&pace, false);
        assert!(long > longest.mul_f64(0.4) && long < longest.mul_f64(1.6));
        assert!(wait(&pace, true) < Duration::from_millis(400));
        pace.answered();
        assert!(!pace.is_away());
        pace.failed(None);
        assert!(wait(&pace, false) < Duration::from_millis(400));
    }

    #[test]
    fn what_the_collector_asks_for_counts_also_in_a_hurry_within_reason() {
        let mut pace = Pace::new(Duration::from_secs(1));
        pace.failed(Some(Duration::from_secs(60)));
        for hurry in [false, true] {
            assert!(wait(&pace, hurry) > Duration::from_secs(58), "{hurry}");
        }
        pace.failed(Some(Duration::MAX));
        assert!(wait(&pace, false) <= MOST_PATIENCE);
    }
}
