//! Where the last lines of a file begin.

use std::io::{self, Read, Seek, SeekFrom};

const BLOCK: u64 = 64 << 10;

/// The offset at which the last `lines` lines of `file` begin, which is `length` bytes long. A last
/// line without its end is one of none: it comes when it is whole.
pub(super) fn begin_of_last(
    file: &mut (impl Read + Seek),
    length: u64,
    lines: usize,
) -> io::Result<u64> {
    let mut block = vec![0; BLOCK as usize];
    let (mut end, mut ends_found) = (length, 0);
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        let part = &mut block[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        for at in memchr::memrchr_iter(b'\n', part) {
            // The end of the line before those that are wanted.
            if ends_found == lines {
                return Ok(begin + at as u64 + 1);
            }
            ends_found += 1;
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::begin_of_last;
    use std::io::Cursor;

    fn last(text: &str, lines: usize) -> &str {
        let begin = begin_of_last(&mut Cursor::new(text), text.len() as u64, lines).unwrap();
        &text[begin as usize..]
    }

    #[test]
    fn the_last_lines_are_found() {
        assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last("a\nb\nc\n", 0), "");
        assert_eq!(last("a\nb\nc\n", 3), "a\nb\nc\n");
        assert_eq!(last("a\nb\nc\n", 9), "a\nb\nc\n");
        assert_eq!(last("a\nb\nto", 1), "b\nto");
        assert_eq!(last("a\nb\nto", 0), "to");
        assert_eq!(last("", 5), "");
    }

    #[test]
    fn blocks_do_not_matter() {
        let line = format!("{}\n", "x".repeat(999));
        let text = line.repeat(500);
        assert_eq!(last(&text, 131).len(), 131_000);
    }
}
