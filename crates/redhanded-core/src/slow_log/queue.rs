//! Lines that wait for the disk.

use std::collections::VecDeque;
use std::sync::Arc;

/// A line with its newline, shared by whoever writes it and whoever may have to write it again.
pub(super) type Line = Arc<[u8]>;

/// Lines in order, within a bound of bytes. Each has a number, from 1 on; those up to
/// [`durable`](Self::durable) have left.
#[derive(Debug)]
pub(super) struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    most_bytes: usize,
    durable: u64,
    /// Lines at the front that are being written at this moment.
    in_hand: usize,
}

impl Queue {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            most_bytes,
            durable: 0,
            in_hand: 0,
        }
    }

    /// The first line always has room: a bound of nothing must not lose a record that the disk takes.
    pub(super) fn has_room(&self, record_bytes: usize) -> bool {
        self.lines.is_empty() || self.bytes.saturating_add(record_bytes) < self.most_bytes
    }

    /// Its number, or `None` when there is no room: the older records tell how the trouble began,
    /// they stay.
    pub(super) fn push(&mut self, record: &[u8]) -> Option<u64> {
        if !self.has_room(record.len()) {
            return None;
        }
        let line = line_of(record);
        self.bytes += line.len();
        self.lines.push_back(line);
        Some(self.last())
    }

    /// Writes line `number` anew; `false` when the disk has it, or is about to.
    pub(super) fn replace(&mut self, number: u64, record: &[u8]) -> bool {
        let index = number.checked_sub(self.durable + 1);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|index| *index >= self.in_hand) else {
            return false;
        };
        let Some(line) = self.lines.get_mut(index) else {
            return false;
        };
        let new = line_of(record);
        self.bytes = self.bytes - line.len() + new.len();
        *line = new;
        true
    }

    /// All lines, to be written; [`put_back`](Self::put_back) must follow.
    pub(super) fn take_in_hand(&mut self) -> Vec<Line> {
        self.in_hand = self.lines.len();
        self.lines.iter().cloned().collect()
    }

    /// The first `durable` lines are on disk, and the others wait on. Says up to which number the disk
    /// was asked to take lines.
    pub(super) fn put_back(&mut self, durable: usize) -> u64 {
        let asked = self.durable + self.in_hand as u64;
        let durable = durable.min(self.in_hand);
        for line in self.lines.drain(..durable) {
            self.bytes -= line.len();
        }
        self.durable += durable as u64;
        self.in_hand = 0;
        asked
    }

    /// The number of the last line that is on disk, and all before it are.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// The number of the last line that came.
    pub(super) fn last(&self) -> u64 {
        self.durable + self.lines.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// A raw line end inside a record could only stand between JSON tokens, where a space means the same.
fn line_of(record: &[u8]) -> Line {
    let clean = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    };
    record.iter().map(clean).chain([b'\n']).collect()
}

#[cfg(test)]
mod tests {
    use super::Queue;

    fn texts(queue: &mut Queue) -> Vec<String> {
        let lines = queue.take_in_hand();
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    #[test]
    fn what_is_in_hand_is_not_changed_any_more() {
        let mut queue = Queue::new(99);
        assert_eq!(queue.push(b"one"), Some(1));
        assert_eq!(texts(&mut queue), ["one\n"]);
        assert_eq!(queue.push(b"two"), Some(2));
        assert!(!queue.replace(1, b"ONE") && queue.replace(2, b"TWO!"));
        assert_eq!(queue.put_back(0), 1, "the second was not asked for");
        assert!(queue.replace(1, b"ONE"), "refused, and not in hand");
        assert_eq!(texts(&mut queue), ["ONE\n", "TWO!\n"]);
        assert_eq!(queue.put_back(1), 2);
        assert!(!queue.replace(1, b"1") && queue.replace(2, b"2") && !queue.replace(3, b"3"));
        assert_eq!((queue.durable(), queue.last(), queue.bytes), (1, 2, 2));
    }

    #[test]
    fn lines_that_leave_make_room() {
        let mut queue = Queue::new(10);
        assert_eq!((queue.push(b"1234"), queue.push(b"12345")), (Some(1), None));
        queue.take_in_hand();
        assert!(!queue.has_room(5), "it may have to be written again");
        queue.put_back(1);
        assert_eq!((queue.push(b"a longer one"), queue.len()), (Some(2), 1));
    }
}
