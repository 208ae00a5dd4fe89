//! Puts lines on a page; every text goes through here and comes out without control characters.

use super::Style;
use super::format::shown;

/// How wide the names of fields are.
const NAME_WIDTH: usize = 11;

/// What a line looks like on a terminal with colours.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    /// Bold red: the guilty.
    Alarm,
    /// Yellow: who suffers.
    Warning,
    /// Bold: the user's own code.
    Bright,
    /// Grey: what is seldom needed.
    Faint,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Alarm => "\u{1b}[1;31m",
            Self::Warning => "\u{1b}[33m",
            Self::Bright => "\u{1b}[1m",
            Self::Faint => "\u{1b}[2m",
        }
    }
}

/// A page in the making.
pub(super) struct Brush {
    style: Style,
    page: String,
}

impl Brush {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            page: String::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.page
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.page.push_str(&shown(text));
        self.page.push('\n');
    }

    pub(super) fn inked(&mut self, ink: Ink, text: &str) {
        self.start(ink);
        self.page.push_str(&shown(text));
        self.end();
    }

    /// An empty line, and the name of what follows.
    pub(super) fn title(&mut self, name: &str) {
        self.end_of_part();
        self.inked(Ink::Faint, name);
    }

    pub(super) fn end_of_part(&mut self) {
        if !self.page.is_empty() {
            self.page.push('\n');
        }
    }

    /// A name and its value below one another.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let name = shown(name);
        self.page
            .push_str(&format!("  {name:<NAME_WIDTH$} {}\n", shown(value)));
    }

    pub(super) fn bright_field(&mut self, name: &str, value: &str) {
        self.start(Ink::Bright);
        let name = shown(name);
        self.page
            .push_str(&format!("  {name:<NAME_WIDTH$} {}", shown(value)));
        self.end();
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn start(&mut self, ink: Ink) {
        if self.style == Style::Color {
            self.page.push_str(ink.code());
        }
    }

    fn end(&mut self) {
        if self.style == Style::Color {
            self.page.push_str("\u{1b}[0m");
        }
        self.page.push('\n');
    }
}
