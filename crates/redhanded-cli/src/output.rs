//! Standard output and standard error, and whether the first may have colours.

use crate::args::Color;
use redhanded_report::{Style, shown};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    to: BufWriter<StdoutLock<'static>>,
    style: Style,
}

impl Output {
    pub(crate) fn new(color: Color) -> Self {
        let stdout = io::stdout();
        let wanted = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stdout.is_terminal() && environment_allows(),
        };
        Self {
            to: BufWriter::new(stdout.lock()),
            style: if wanted { Style::Color } else { Style::Plain },
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// A text that is safe already.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.text(text)?;
        self.to.write_all(b"\n")
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// `text` in an ANSI `code`, where there are colours.
    pub(crate) fn inked(&self, code: &str, text: &str) -> String {
        if self.style == Style::Color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// <https://no-color.org>, and terminals that say they cannot.
fn environment_allows() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_color && !dumb
}

/// One line on standard error, without control characters, whoever they came from.
pub(crate) fn complain(text: &str) {
    // Nobody can be told that nobody can be told.
    let _ = writeln!(io::stderr(), "redhanded: {}", shown(text));
}

/// JSON that means the same and cannot steer a terminal: characters that [`shown`] would escape
/// become `\uXXXX`. `json` must be valid: outside of strings it has no such character but blanks.
pub(crate) fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        let mut utf8 = [0; 4];
        if c < ' ' {
            safe.push(' ');
        } else if c != '"' && c != '\\' && shown(c.encode_utf8(&mut utf8)).len() != c.len_utf8() {
            let mut utf16 = [0; 2];
            let units = c.encode_utf16(&mut utf16).iter();
            safe.extend(units.map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::safe_json;

    #[test]
    fn safe_json_means_the_same() {
        let json = "{\"a\":\t\"\u{9b}31m\u{7f}\u{202e}\u{e0001} \\\" \\\\ ä \u{200d}\"}\r";
        let safe = safe_json(json);
        assert!(
            safe.chars()
                .all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{e0001}'),
            "{safe:?}"
        );
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&safe), value(json));
    }
}
