//! Escapes user input so that it is safe in messages.

/// The maximum number of characters of a text that a message quotes.
const MAX_CHARS: usize = 60;

/// Returns the first 60 characters of a text. Control characters, such as line breaks, are escaped, so the text cannot
/// add lines to a log message.
#[must_use]
pub fn escape_for_display(text: &str) -> String {
    let mut characters = text.chars();
    let mut escaped = String::new();
    for character in characters.by_ref().take(MAX_CHARS) {
        if character.is_control() {
            escaped.extend(character.escape_debug());
        } else {
            escaped.push(character);
        }
    }
    if characters.next().is_some() {
        escaped.push('…');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_are_cut() {
        assert_eq!(escape_for_display("5/minut"), "5/minut");
        assert_eq!(escape_for_display("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
        assert_eq!(escape_for_display(&"ä".repeat(61)), "ä".repeat(60) + "…");
    }
}
