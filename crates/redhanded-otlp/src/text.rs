//! Text within bounds.

/// The longest attribute value; a report's own values are at most 1 KiB, so this cuts only what
/// did not come from a well-behaved engine.
pub(crate) const VALUE: usize = 4 * 1024;
/// The longest attribute key that is made of somebody's input.
pub(crate) const KEY: usize = 128;

/// `text` cut at a character boundary at or below `limit` bytes, with what is missing counted.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(limit);
    format!("{}…(+{} bytes)", &text[..cut], text.len() - cut)
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn cuts_between_characters_and_counts_the_rest() {
        assert_eq!(bounded("käse", 10), "käse");
        assert_eq!(bounded("käse", 2), "k…(+4 bytes)");
        assert_eq!(bounded("🦀🦀", 5), "🦀…(+4 bytes)");
        assert_eq!(bounded("", 0), "");
    }
}
