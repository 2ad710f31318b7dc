//! What was written, as a message shows it.

/// No message shows more characters of a text.
const MOST: usize = 60;

/// The beginning of a text, in one line and with nothing invisible in it.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown = String::new();
    for character in characters.by_ref().take(MOST) {
        if character.is_control() {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_one_short_line() {
        assert_eq!(shown("5/minut"), "5/minut");
        assert_eq!(shown("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
        assert_eq!(shown(&"ä".repeat(61)), "ä".repeat(60) + "…");
    }
}
