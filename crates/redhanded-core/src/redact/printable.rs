//! Bytes and texts that can be shown on a terminal and stored in a log.

use percent_encoding::percent_encode_byte;
use std::fmt::Write as _;

/// Values longer than this many bytes are cut.
pub(crate) const LONGEST_VALUE: usize = 1024;

/// Whether `c` could move a cursor, split a line, reverse or hide the text around it.
///
/// C0, DEL and C1; line and paragraph separators; the bidirectional controls of Unicode TR 9;
/// zero-width characters and tags. The joiners U+200C and U+200D stay: scripts and emoji need them.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `bytes` as text: what is not UTF-8 and what is unsafe becomes `%XX`.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    encode(bytes, |_| false)
}

/// Like [`from_bytes`], and what may not stand raw in a URL (space, quotes, brackets) becomes `%XX` too.
pub(super) fn url_part(bytes: &[u8]) -> String {
    encode(bytes, |c| {
        matches!(
            c,
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'
        )
    })
}

fn encode(bytes: &[u8], unsafe_here: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unsafe(c) || unsafe_here(c) {
                push_encoded(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        push_encoded(&mut out, chunk.invalid());
    }
    out
}

fn push_encoded(out: &mut String, bytes: &[u8]) {
    out.extend(bytes.iter().map(|byte| percent_encode_byte(*byte)));
}

/// The first [`LONGEST_VALUE`] bytes of `text`, with `…(+N bytes)` when more was there or when
/// `already_lost` bytes had been dropped before.
pub(crate) fn cut(mut text: String, already_lost: u64) -> String {
    let kept = text.floor_char_boundary(LONGEST_VALUE);
    let lost = already_lost.saturating_add((text.len() - kept) as u64);
    text.truncate(kept);
    if lost > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "…(+{lost} bytes)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_VALUE, cut, from_bytes, is_unsafe, url_part};
    use proptest::prelude::*;

    #[test]
    fn what_is_not_text_is_percent_encoded() {
        assert_eq!(from_bytes(b"caf\xc3\xa9 \xff\x1b[31m"), "café %FF%1B[31m");
        assert_eq!(
            from_bytes("a\u{202e}b\u{2028}\u{85}".as_bytes()),
            "a%E2%80%AEb%E2%80%A8%C2%85"
        );
        assert_eq!(url_part(b"a b\"<\\"), "a%20b%22%3C%5C");
    }

    #[test]
    fn long_texts_say_what_is_missing() {
        assert_eq!(cut("short".into(), 0), "short");
        assert_eq!(cut("short".into(), 3), "short…(+3 bytes)");
        assert_eq!(cut("x".repeat(LONGEST_VALUE), 0).len(), LONGEST_VALUE);
        // The boundary falls into a two-byte character, which is left out whole.
        let long = format!("x{}", "é".repeat(LONGEST_VALUE / 2));
        assert!(cut(long, 0).ends_with("é…(+2 bytes)"));
    }

    proptest! {
        #[test]
        fn nothing_unsafe_comes_through(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".*") {
            prop_assert!(!from_bytes(&bytes).contains(is_unsafe));
            prop_assert!(!url_part(text.as_bytes()).contains(is_unsafe));
        }
    }
}
