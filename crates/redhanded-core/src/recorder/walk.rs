//! A walk over a target's bytes, for those that have escapes, blanks or colons and most often no secret all the same.
//!
//! It allocates nothing, and knows what redaction looks for in what is decoded: `=` and `:` behind the name of a secret,
//! `://` with a login, `Bearer` and `Basic` before a blank, web tokens, and escapes within escapes. Where it is not sure it says
//! no, and the long way follows.

/// As long as a target may be that is walked over.
pub(super) const LONGEST: usize = 512;

/// Whether nothing in `target` can be a secret. `is_innocent` is asked about names, by where they begin and end.
pub(super) fn is_plain(target: &[u8], is_innocent: impl Fn(usize, usize) -> bool) -> bool {
    let mut walk = Walk::default();
    let mut in_query = false;
    let mut at = 0;
    while let Some(byte) = target.get(at) {
        let begins = at;
        at += 1;
        let fine = match byte {
            b'/' if !in_query => walk.anew(at),
            b'?' if !in_query => {
                in_query = true;
                walk.anew(at)
            }
            b'&' if in_query => walk.anew(at),
            // The first one of a pair, whose key is written out.
            b'=' => {
                let is_key = in_query && !walk.in_value && !walk.decoded_any;
                let fine = is_key && is_innocent(walk.begin, begins);
                walk.anew(at);
                walk.in_value = true;
                fine
            }
            b':' => {
                let name = walk.word < begins && is_innocent(walk.word, begins);
                let login = target.get(at..).is_some_and(|rest| rest.starts_with(b"//"));
                name && !login && walk.step(b':', at)
            }
            b'+' if in_query => walk.decoded(b' '),
            b'%' => match escape(target.get(at..)) {
                Some((decoded, written)) => {
                    at += 2;
                    walk.decoded(decoded) && (decoded.is_ascii() || walk.written(written))
                }
                None => false,
            },
            0x21..=0x7e => walk.step(*byte, at),
            _ => false,
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Where a walk is in a part of the target: a segment of the path, a key or a value.
#[derive(Default)]
struct Walk {
    begin: usize,
    in_value: bool,
    /// An escape or a `+` was in this part.
    decoded_any: bool,
    /// Where the last word begins; behind the end of what is no word.
    word: usize,
    /// The last bytes in lower case, the youngest lowest.
    last: u64,
    blank: bool,
    scheme: bool,
}

impl Walk {
    fn anew(&mut self, at: usize) -> bool {
        *self = Self {
            begin: at,
            word: at,
            ..Self::default()
        };
        true
    }

    /// A byte that stands for itself.
    fn step(&mut self, byte: u8, next: usize) -> bool {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-' | b'.' => {}
            // Parts of a word, and not of a name that is asked about.
            b'[' | b']' | b'$' | b'+' => self.word = usize::MAX,
            _ => self.word = next,
        }
        self.take(byte)
    }

    /// A byte that was written as an escape.
    fn decoded(&mut self, byte: u8) -> bool {
        self.decoded_any = true;
        // What is a word with it is for the long way to judge.
        self.word = usize::MAX;
        let plain = !matches!(byte, b'=' | b':' | b'%' | 0x7f | 0..0x20);
        plain && self.take(byte)
    }

    /// The digits of the escape before, whose byte is not ASCII: where such bytes are no UTF-8, redaction reads what is written,
    /// as in `%Bearer x`.
    fn written(&mut self, digits: [u8; 2]) -> bool {
        digits.into_iter().all(|digit| self.take(digit))
    }

    fn take(&mut self, byte: u8) -> bool {
        self.last = self.last << 8 | u64::from(byte.to_ascii_lowercase());
        self.blank |= byte == b' ';
        self.scheme |= self.last & 0xff_ffff_ffff == u64::from_be_bytes(*b"\0\0\0basic")
            || self.last & 0xffff_ffff_ffff == u64::from_be_bytes(*b"\0\0bearer");
        let token = byte == b'J' && self.last & 0xff_ffff == u64::from_be_bytes(*b"\0\0\0\0\0eyj");
        !(token || (self.blank && self.scheme))
    }
}

/// The byte of an escape, and its two digits.
fn escape(rest: Option<&[u8]>) -> Option<(u8, [u8; 2])> {
    let [high, low, ..] = rest? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let decoded = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    Some((decoded, [*high, *low]))
}
