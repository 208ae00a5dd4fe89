//! Lines that wait for the disk.

use std::collections::VecDeque;

/// Lines in order, each with its newline, within a bound of bytes.
#[derive(Debug)]
pub(super) struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    most_bytes: usize,
}

impl Queue {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            most_bytes,
        }
    }

    /// The first line always has room: a bound of nothing must not lose a record that the disk takes.
    pub(super) fn has_room(&self, record_bytes: usize) -> bool {
        self.lines.is_empty() || self.bytes + record_bytes < self.most_bytes
    }

    /// `false` when there is no room: the older records tell how the trouble began, they stay.
    pub(super) fn push(&mut self, record: &[u8]) -> bool {
        if !self.has_room(record.len()) {
            return false;
        }
        // A raw line end inside a record could only stand between JSON tokens, where a space means the same.
        let clean = |byte: &u8| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                *byte
            }
        };
        let line: Vec<u8> = record.iter().map(clean).chain([b'\n']).collect();
        self.bytes += line.len();
        self.lines.push_back(line);
        true
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }

    pub(super) fn forget(&mut self, lines: usize) {
        for line in self.lines.drain(..lines.min(self.lines.len())) {
            self.bytes -= line.len();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
