//! Escapes characters that could change what a terminal shows.

use std::fmt::Write;

/// Returns the text with an escape such as `\u{1b}` in place of each character that a terminal could interpret, or
/// that is invisible: control characters, line breaks, marks of the writing direction, and characters without a width.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            printable.extend(character.escape_unicode());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Returns JSON with an escape in place of each character outside printable ASCII. In JSON, such characters occur only
/// inside strings, so the value stays the same.
pub(super) fn printable_json(json: &str) -> String {
    let mut printable = String::with_capacity(json.len());
    for character in json.chars() {
        if character == ' ' || character.is_ascii_graphic() {
            printable.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` cannot fail.
            let _ = write!(printable, "\\u{unit:04x}");
        }
    }
    printable
}

fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\u{a}");
        assert_eq!(
            printable("\u{9b}2J \u{202e}x\u{2066}\u{200b}"),
            "\\u{9b}2J \\u{202e}x\\u{2066}\\u{200b}"
        );
        assert_eq!(printable("Ä 日本 …"), "Ä 日本 …");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({ "key": "\u{202e}\u{7f}\n\u{1f600}\"" });
        let text = printable_json(&value.to_string());
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
