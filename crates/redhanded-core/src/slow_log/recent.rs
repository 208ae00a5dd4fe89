//! What was written a moment ago, in case the file is cut under it.

use super::queue::Line;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Copying a log takes seconds at most; who truncates it later than that had time to copy the line.
const AGE: Duration = Duration::from_secs(10);

/// So many bytes are kept; of more, the youngest.
const MOST_BYTES: usize = 1024 * 1024;

/// The youngest lines of a file, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    lines: VecDeque<(Instant, Line)>,
    bytes: usize,
}

impl Recent {
    pub(super) fn add(&mut self, lines: &[Line], now: Instant) {
        for line in lines {
            self.bytes += line.len();
            self.lines.push_back((now, line.clone()));
        }
        while self.bytes > MOST_BYTES {
            self.forget_oldest();
        }
    }

    /// Those that may not have been copied yet.
    pub(super) fn lines(&mut self, now: Instant) -> Vec<Line> {
        self.forget_old(now);
        self.lines.iter().map(|(_, line)| line.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Those that have been copied, if anybody copies.
    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some((then, _)) = self.lines.front()
            && now.saturating_duration_since(*then) > AGE
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, line)) = self.lines.pop_front() {
            self.bytes -= line.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGE, MOST_BYTES, Recent};
    use std::time::{Duration, Instant};

    #[test]
    fn lines_are_forgotten_by_age_and_by_size() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        recent.add(&[b"old\n"[..].into()], now);
        let later = now + AGE;
        recent.add(&[b"new\n"[..].into()], later);
        assert_eq!(recent.lines(later).len(), 2);
        let later = later + Duration::from_millis(1);
        assert_eq!(recent.lines(later), [b"new\n"[..].into()]);
        recent.add(&[vec![b'x'; MOST_BYTES].into()], later);
        assert_eq!((recent.lines(later).len(), recent.bytes), (1, MOST_BYTES));
        assert!(recent.lines(later + AGE * 2).is_empty() && recent.is_empty());
    }
}
