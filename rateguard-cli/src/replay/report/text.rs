//! Makes texts of a log safe for a terminal.

use crate::output::printable;

/// Returns the first characters of a text. Characters that a terminal would not show, or that change the order of other
/// characters, are escaped, so that a client cannot change the report.
pub(crate) fn visible(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => printable(text.get(..end).unwrap_or(text)) + "…",
        None => printable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(visible("ann 💡 ü", 60), "ann 💡 ü");
        assert_eq!(visible("a\u{1b}[31m\n", 60), "a\\u{1b}[31m\\u{a}");
        assert_eq!(visible("\u{202e}evil\u{2066}", 60), "\\u{202e}evil\\u{2066}");
        assert_eq!(visible("abcdef", 3), "abc…");
    }
}
