//! Lines of a stream in one buffer that is used again and again, and never grows beyond a bound.

use std::io::{self, ErrorKind, Read};

/// Longer lines are no records: the longest that redhanded writes are far below a megabyte.
pub(crate) const LONGEST_LINE: usize = 16 << 20;

/// What the buffer has at first; large enough that system calls do not count.
const BUFFER: usize = 256 << 10;

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// From 1; 0 where nobody counted from the beginning.
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

/// What stands between two line ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A line, without its end.
    Line { bytes: &'a [u8], at: At },
    /// The last one, which has no end.
    Torn { bytes: &'a [u8], at: At },
    /// A line of which only the beginning was looked at.
    TooLong { at: At },
}

/// The lines of `R`.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// Of `buffer`: what was read and not given out begins here, …
    begin: usize,
    /// … and ends here.
    end: usize,
    longest: usize,
    /// Of the stream: where `begin` is.
    offset: u64,
    /// Lines so far, where that is known.
    given: Option<u64>,
    /// In the middle of a line that is too long, which began there.
    skipping: Option<At>,
    over: bool,
}

/// A line that was found: where in the buffer, and where in the stream.
#[derive(Clone, Copy, Debug)]
enum Whole {
    Line { begin: usize, end: usize, at: At },
    TooLong { at: At },
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self::bounded(from, BUFFER, LONGEST_LINE)
    }

    /// The lines of a stream of which `offset` bytes were passed over.
    pub(crate) fn starting_at(from: R, offset: u64) -> Self {
        let mut lines = Self::new(from);
        lines.offset = offset;
        lines.given = (offset == 0).then_some(0);
        lines
    }

    fn bounded(from: R, buffer: usize, longest: usize) -> Self {
        Self {
            from,
            buffer: vec![0; buffer],
            begin: 0,
            end: 0,
            longest,
            offset: 0,
            given: Some(0),
            skipping: None,
            over: false,
        }
    }

    /// Where in the stream the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line, or `None` at the end. After an error there is no next one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        if self.over {
            return Ok(None);
        }
        if let Some(whole) = self.find()? {
            return Ok(Some(self.piece(whole)));
        }
        // A terminal would be asked for more after its end.
        self.over = true;
        let length = self.end - self.begin;
        let (at, long) = match self.skipping.take() {
            Some(at) => (at, true),
            None if length == 0 => return Ok(None),
            None => (self.take_at(), false),
        };
        if long {
            return Ok(Some(Piece::TooLong { at }));
        }
        let bytes = self.consume(length);
        let bytes = &self.buffer[bytes..bytes + length];
        Ok(Some(Piece::Torn { bytes, at }))
    }

    /// The next line that has an end, or `None` when there is none yet: what is there of it stays,
    /// and the rest may come.
    pub(crate) fn next_whole(&mut self) -> io::Result<Option<Piece<'_>>> {
        Ok(self.find()?.map(|whole| self.piece(whole)))
    }

    /// The stream, and how much of it was read.
    pub(crate) fn source(&self) -> (&R, u64) {
        (&self.from, self.offset + (self.end - self.begin) as u64)
    }

    fn piece(&self, whole: Whole) -> Piece<'_> {
        match whole {
            Whole::Line { begin, end, at } => Piece::Line {
                bytes: &self.buffer[begin..end],
                at,
            },
            Whole::TooLong { at } => Piece::TooLong { at },
        }
    }

    fn find(&mut self) -> io::Result<Option<Whole>> {
        let mut searched = 0;
        loop {
            let unseen = &self.buffer[self.begin + searched..self.end];
            if let Some(found) = memchr::memchr(b'\n', unseen) {
                let length = searched + found;
                let long = self.skipping.take();
                let at = long.unwrap_or_else(|| self.take_at());
                let begin = self.consume(length + 1);
                let end = begin + length;
                return Ok(Some(match long {
                    Some(at) => Whole::TooLong { at },
                    None => Whole::Line { begin, end, at },
                }));
            }
            searched = self.end - self.begin;
            if searched > self.longest || self.skipping.is_some() {
                self.skipping = Some(self.skipping.unwrap_or_else(|| self.take_at()));
                self.consume(searched);
                searched = 0;
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    fn take_at(&mut self) -> At {
        self.given = self.given.map(|given| given + 1);
        At {
            number: self.given.unwrap_or(0),
            offset: self.offset,
        }
    }

    /// Returns where in the buffer the consumed bytes begin.
    fn consume(&mut self, length: usize) -> usize {
        let begin = self.begin;
        self.begin += length;
        self.offset += length as u64;
        begin
    }

    /// Reads more behind what is there, and makes room for it; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        if self.end == self.buffer.len() {
            let more = (self.buffer.len() * 2).min(self.longest.max(self.buffer.len()) + 1);
            self.buffer.resize(more, 0);
        }
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Piece};
    use proptest::prelude::*;
    use std::io::Read;

    /// Gives a few bytes at a time, as a pipe does.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let few = self.1.min(to.len());
            self.0.read(&mut to[..few])
        }
    }

    /// One part per read, and an empty one for an end that is not the last.
    struct Trickle<'a>(&'a [&'a [u8]]);

    impl Read for Trickle<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            self.0 = rest;
            to[..first.len()].copy_from_slice(first);
            Ok(first.len())
        }
    }

    fn all(bytes: &[u8], at_once: usize, longest: usize) -> Vec<(String, u64, u64)> {
        let mut lines = Lines::bounded(Drops(bytes, at_once), 8, longest);
        let mut found = Vec::new();
        while let Some(piece) = lines.next().unwrap() {
            let (text, at) = match piece {
                Piece::Line { bytes, at } => (format!("{}$", bytes.escape_ascii()), at),
                Piece::Torn { bytes, at } => (bytes.escape_ascii().to_string(), at),
                Piece::TooLong { at } => ("long".to_owned(), at),
            };
            found.push((text, at.number, at.offset));
        }
        assert!(
            lines.buffer.len() <= longest.max(8) + 1,
            "{}",
            lines.buffer.len()
        );
        found
    }

    #[test]
    fn lines_have_numbers_and_offsets() {
        let line = |text: &str, number, offset| (text.to_owned(), number, offset);
        assert_eq!(all(b"", 3, 32), []);
        assert_eq!(
            all(b"a\n\nbcd\nef", 3, 32),
            [
                line("a$", 1, 0),
                line("$", 2, 2),
                line("bcd$", 3, 3),
                line("ef", 4, 7)
            ]
        );
    }

    #[test]
    fn the_rest_of_a_line_may_come_later() {
        let mut lines = Lines::bounded(Trickle(&[b"ab", b"", b"c\nd", b"", b"\n", b""]), 8, 4);
        let mut found = Vec::new();
        for _ in 0..4 {
            found.push(match lines.next_whole().unwrap() {
                Some(Piece::Line { bytes, .. }) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(found, ["None", "abc", "None", "d"]);
        let long: [&[u8]; 5] = [b"too long", b"", b" still", b"", b"\nx\n"];
        let mut lines = Lines::bounded(Trickle(&long), 8, 4);
        assert_eq!(lines.next_whole().unwrap(), None);
        assert_eq!(lines.next_whole().unwrap(), None);
        assert!(matches!(
            lines.next_whole().unwrap(),
            Some(Piece::TooLong { .. })
        ));
        assert!(
            matches!(lines.next_whole().unwrap(), Some(Piece::Line { bytes: b"x", at }) if at.offset == 15)
        );
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        let text = format!("a\n{}\nb\n{}", "x".repeat(1000), "y".repeat(33));
        let found = all(text.as_bytes(), 7, 32);
        let texts: Vec<&str> = found.iter().map(|(text, ..)| text.as_str()).collect();
        assert_eq!(texts, ["a$", "long", "b$", "long"]);
        assert_eq!((found[2].1, found[2].2), (3, 1003));
    }

    proptest! {
        #[test]
        fn they_are_what_split_says(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), any::<u8>()], 0..200),
            at_once in 1_usize..40,
        ) {
            let mut expected: Vec<String> =
                text.split(|byte| *byte == b'\n').map(|line| format!("{}$", line.escape_ascii())).collect();
            let last = expected.pop().unwrap_or_default();
            expected.extend((last != "$").then(|| last.trim_end_matches('$').to_owned()));
            // A torn line that ends in a dollar loses it in the comparison, on both sides.
            let found: Vec<String> = all(&text, at_once, 1000).into_iter().map(|(line, ..)| line).collect();
            let clean = |lines: Vec<String>| lines.iter().map(|l| l.trim_end_matches('$').to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(clean(found), clean(expected));
        }
    }
}
