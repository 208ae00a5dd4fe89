//! `key=value`, `key: value`, `"key": "value"` and their kin inside free text.

use super::REDACTED;
use super::keys::Keys;
use super::text::until;
use percent_encoding::percent_decode_str;

/// `text` with the value behind every key that promises a secret replaced.
pub(super) fn redact(text: &str, keys: &Keys) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = text[done..].find(['=', ':']) {
        let at = done + found;
        let separator = &text[at..at + operator(&text[at..])];
        let from = at + separator.len() + blanks(&text[at + separator.len()..]);
        let key = Key::before(&text[done..at]);
        let value = if is_separator(separator, &text[from..]) && key.is_secret(keys) {
            Value::at(&text[from..], &key, separator)
        } else {
            Value::NONE
        };
        let secret = from + value.skipped..from + value.skipped + value.len;
        if value.len == 0 || is_harmless(&text[secret.clone()]) {
            // The value may hold pairs of its own: go on right behind the separator.
            out.push_str(&text[done..at + separator.len()]);
            done = at + separator.len();
        } else {
            out.push_str(&text[done..secret.start]);
            out.push_str(REDACTED);
            done = secret.end;
        }
    }
    out.push_str(&text[done..]);
    out
}

/// Length of the run of operator characters at the start of `text`: `=`, `==`, `=>`, `:=`, `::`.
fn operator(text: &str) -> usize {
    text.len() - text.trim_start_matches(['=', ':', '>', '~']).len()
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// `auth::login` is a path and `http://` a URL.
fn is_separator(operator: &str, value: &str) -> bool {
    operator != "::" && !(operator == ":" && value.starts_with("//"))
}

/// What stands in place of a value and says nothing about it; statements stay readable.
fn is_harmless(value: &str) -> bool {
    let placeholder = value.strip_prefix('$').unwrap_or("-");
    matches!(value, "?" | "None" | "null" | "NULL")
        || (!placeholder.is_empty() && placeholder.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The one or two words in front of a separator.
struct Key<'t> {
    word: &'t str,
    previous: &'t str,
    /// The quote that closes the key: `"key": 1` is JSON, where an unquoted value ends at a comma.
    quoted: bool,
    /// The quote that opens before the key: `'Authorization: …'`.
    opened_by: Option<char>,
}

impl<'t> Key<'t> {
    fn before(text: &'t str) -> Self {
        let bare =
            text.trim_end_matches([' ', '\t', '!', '<', '~', '"', '\'', '`', '\\', ')', ']']);
        let quoted = text[bare.len()..].contains(['"', '\'', '`']);
        let (start, word) = last_word(bare);
        let previous = if start.ends_with(' ') {
            last_word(start.trim_end_matches(' ')).1
        } else {
            ""
        };
        let opened_by = start
            .chars()
            .next_back()
            .filter(|c| !quoted && is_quote(*c));
        Self {
            word,
            previous,
            quoted,
            opened_by,
        }
    }

    /// The word alone, or a word that only both together make: `private key: …`.
    fn is_secret(&self, keys: &Keys) -> bool {
        let word = decoded(self.word);
        let previous = decoded(self.previous);
        keys.is_secret(&word)
            || (!previous.is_empty()
                && !keys.is_secret(&previous)
                && keys.is_secret(&format!("{previous} {word}")))
    }

    /// A header whose value may have several words: `Authorization: Digest a="b", c="d"`.
    fn is_header(&self) -> bool {
        let word = self.word.to_ascii_lowercase();
        word.contains("auth") || word.contains("cookie")
    }
}

fn last_word(text: &str) -> (&str, &str) {
    let is_part = |c: char| {
        c.is_alphanumeric()
            || "_-.%+[]$\u{fffd}".contains(c)
            || (c.is_control() && !c.is_whitespace())
    };
    text.split_at(text.trim_end_matches(is_part).len())
}

fn decoded(key: &str) -> String {
    percent_decode_str(key).decode_utf8_lossy().into_owned()
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// Where the value behind a separator starts and how long it is.
struct Value {
    skipped: usize,
    len: usize,
}

impl Value {
    const NONE: Self = Self { skipped: 0, len: 0 };

    fn at(text: &str, key: &Key<'_>, separator: &str) -> Self {
        let slashes = text.len() - text.trim_start_matches('\\').len();
        if let Some(quote) = text[slashes..].chars().next().filter(|c| is_quote(*c)) {
            let skipped = slashes + quote.len_utf8();
            return Self {
                skipped,
                len: quoted(&text[skipped..], quote, slashes),
            };
        }
        let len = match key.opened_by {
            Some(quote) if key.is_header() => until(text, |c| c == quote || is_line_end(c)).len(),
            None if key.is_header() && separator == ":" && !key.quoted => {
                until(text, is_line_end).len()
            }
            _ => bare(text, key.quoted, separator.contains('=')),
        };
        Self { skipped: 0, len }
    }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

/// Length of what stands before the closing `quote`; all of `text` when it never closes.
///
/// The opening quote had `slashes` backslashes: none in plain text, one in a text that was itself
/// quoted, three in a text quoted twice. One that stands for itself has twice as many more.
fn quoted(text: &str, quote: char, slashes: usize) -> usize {
    let mut run = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            run += 1;
            continue;
        }
        let outer_ends = run < slashes;
        let ours_ends = run >= slashes && (run - slashes).is_multiple_of(2 * (slashes + 1));
        if c == quote && (outer_ends || ours_ends) {
            // SQL doubles a quote to mean itself.
            if slashes == 0 && chars.next_if(|(_, next)| *next == quote).is_some() {
                run = 0;
                continue;
            }
            return at - run.min(slashes);
        }
        run = 0;
    }
    text.len()
}

/// Length of a value without quotes. Brackets and quotes inside brackets belong to it: `Some("a b")`.
fn bare(text: &str, json: bool, ampersand_ends: bool) -> usize {
    let mut depth = 0_usize;
    let mut closed = 0;
    let mut end = text.len();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => {
                depth -= 1;
                closed = next;
            }
            _ if is_quote(c) && (depth > 0 || is_literal_prefix(&text[..at])) => {
                at = next + quoted(&text[next..], c, 0);
                closed = (at + 1).min(text.len());
                at = closed;
                continue;
            }
            ',' | ')' | ']' | '}' if json && depth == 0 => {
                end = at;
                break;
            }
            _ if depth == 0 && (c.is_whitespace() || (c == '&' && ampersand_ends)) => {
                end = at;
                break;
            }
            _ => {}
        }
        at = next;
    }
    let end = closed + trimmed(&text[closed..end]).len();
    end + credential_behind(&text[..end], &text[end..])
}

/// What may stand glued to the opening quote of a literal in Rust or SQL.
fn is_literal_prefix(text: &str) -> bool {
    matches!(
        text,
        "b" | "r" | "r#" | "r##" | "br" | "br#" | "c" | "E" | "N"
    )
}

/// `token=Bearer abc`: the value goes on behind the name of an authentication scheme.
fn credential_behind(value: &str, rest: &str) -> usize {
    const SCHEMES: [&str; 6] = ["bearer", "basic", "digest", "token", "negotiate", "apikey"];
    if !SCHEMES
        .iter()
        .any(|scheme| value.eq_ignore_ascii_case(scheme))
    {
        return 0;
    }
    let blanks = blanks(rest);
    let credential = trimmed(until(&rest[blanks..], char::is_whitespace)).len();
    if credential == 0 {
        0
    } else {
        blanks + credential
    }
}

/// Without the punctuation of the sentence or the code around a value.
fn trimmed(value: &str) -> &str {
    value.trim_end_matches([',', ';', '.', ')', ']', '}', '>', '"', '\'', '`', '\\'])
}
