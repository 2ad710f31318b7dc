//! Makes texts of a log safe for a terminal.

use std::fmt::Write;

/// Returns the first characters of a text. Characters that a terminal would not show, or that change the order of other
/// characters, are escaped, so that a client cannot change the report.
pub(crate) fn visible(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(max_chars) {
        if is_hidden(character) {
            // A write to a string does not fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Returns whether the character is a control character, or has no width and can change how others are shown.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
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
