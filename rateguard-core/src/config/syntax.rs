//! Explains the syntax errors of a policies file to a user who may not know TOML.

use actix_rateguard_grammar::escape_for_display;
use toml::de::Error;

/// Returns the byte offset and the message of each syntax error. The messages contain names of fields and tables, but
/// no values, because a value can be a secret.
pub(super) fn syntax_errors(text: &str, errors: &[Error]) -> Vec<(usize, String)> {
    if let Some(offset) = json_start(text).filter(|_| !errors.is_empty()) {
        let message = "expected TOML, such as `[policies.login]` followed by `rate = \"5/minute\"`, found JSON";
        return vec![(offset, message.to_owned())];
    }
    let mut messages = Vec::new();
    // The byte offset at which the last table with a duplicate name ends. Further duplicates before this offset are not
    // reported, because they are fields that occur in both tables.
    let mut duplicate_until = 0;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = Line::at(text, span.start);
        let message = error.message();
        if message == "duplicate key" {
            if span.start < duplicate_until {
                continue;
            }
            if line.is_header() {
                duplicate_until = line.end_of_table(text);
            }
            messages.push((span.start, line.duplicate(text.get(span).unwrap_or_default())));
        } else if let Some(colon) = line.colon_after_name() {
            let message = "expected `=` after the name, found `:`; the file must be TOML";
            messages.push((colon, message.to_owned()));
        } else {
            messages.push((span.start, line.explain(message, span.start)));
        }
    }
    messages
}

/// Returns the byte offset of the text if it is JSON. No TOML text begins with a brace.
fn json_start(text: &str) -> Option<usize> {
    let json = text.trim_start();
    json.starts_with('{').then(|| text.len() - json.len())
}

/// A line of the text.
#[derive(Clone, Copy)]
struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    /// Returns the line that contains this byte offset. The line does not contain its line break.
    fn at(text: &'t str, offset: usize) -> Self {
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
        let end = after.find('\n').map_or(text.len(), |line_break| before.len() + line_break);
        Self { start, text: text.get(start..end).unwrap_or_default() }
    }

    fn is_header(self) -> bool {
        self.text.trim_start().starts_with('[')
    }

    /// Returns the byte offset at which the table after this header ends.
    fn end_of_table(self, text: &str) -> usize {
        let after = text.get(self.start..).unwrap_or_default();
        let mut offset = self.start;
        for (index, line) in after.split_inclusive('\n').enumerate() {
            if index > 0 && line.trim_start().starts_with('[') {
                return offset;
            }
            offset += line.len();
        }
        text.len()
    }

    fn duplicate(self, key: &str) -> String {
        if self.is_header() {
            let header = self.text.trim().trim_start_matches('[');
            let name = header.split(']').next().unwrap_or_default();
            let name = escape_for_display(name);
            return format!("duplicate table `[{name}]`; write all its fields in one table");
        }
        format!("duplicate field `{}`; remove one of them", escape_for_display(key.trim()))
    }

    /// Returns the name before `=` or `:` if the name needs no quotes.
    fn name_before(self, separator: char) -> Option<&'t str> {
        let (name, _) = self.text.split_once(separator)?;
        let name = name.trim();
        let is_bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
        (!name.is_empty() && name.chars().all(is_bare)).then_some(name)
    }

    /// Returns the byte offset of the first colon if it follows a name, as in YAML.
    fn colon_after_name(self) -> Option<usize> {
        self.name_before(':')?;
        self.text.find(':').map(|colon| self.start + colon)
    }

    /// Returns a better message if the value has no quotes. Otherwise returns the message of the parser.
    fn explain(self, message: &str, offset: usize) -> String {
        let equals = self.text.find('=').map_or(0, |equals| self.start + equals);
        let value = self.text.split_once('=').map_or("", |(_, value)| value);
        let value = value.split('#').next().unwrap_or_default().trim();
        let is_boolean = ["true", "false"].iter().any(|it| value.eq_ignore_ascii_case(it));
        let has_no_quotes = message.starts_with("string values must be quoted")
            || message.ends_with("expected nothing")
            || (message.starts_with("invalid boolean") && !is_boolean);
        // The text before a `=` in a value can be a secret.
        let name = self.name_before('=').filter(|_| equals < offset).unwrap_or("rate");
        if has_no_quotes && value.is_empty() {
            format!("expected a value after `=`, such as `{name} = \"…\"`, found none")
        } else if has_no_quotes {
            format!("expected text in quotes, such as `{name} = \"…\"`, found text without quotes")
        } else {
            message.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn errors(text: &str) -> Vec<(usize, String)> {
        syntax_errors(text, &DeTable::parse_recoverable(text).1)
    }

    #[test]
    fn value_without_quotes_is_reported_with_its_name() {
        for (text, name) in [
            ("rate = 5/minute\n", "rate"),
            ("on_error = closed # see below\n", "on_error"),
            ("rate = five/minute\n", "rate"),
            ("window = 5minutes", "window"),
            ("a.key = -x", "a.key"),
            ("behind = [10.0.0.1, 5]", "behind"),
            ("\"a b\" = 60 s", "rate"),
            ("rate = \u{201c}5/minute\u{201d}", "rate"),
        ] {
            let expected = format!(
                "expected text in quotes, such as `{name} = \"…\"`, found text without quotes"
            );
            let messages: Vec<_> = errors(text).into_iter().map(|(_, message)| message).collect();
            assert_eq!(messages, [expected], "{text}");
        }
    }

    #[test]
    fn text_in_a_value_is_not_reported_as_a_name() {
        for (_, message) in errors("keys = [\nc2VjcmV0==,\n]") {
            assert!(!message.contains("c2VjcmV0"), "{message}");
        }
    }

    #[test]
    fn other_formats_than_toml_are_reported_once_per_place() {
        let json = errors("\n{\"policies\": {\"login\": {\"rate\": \"5/minute\"}}}");
        assert_eq!(json.len(), 1, "{json:?}");
        assert!(json[0].0 == 1 && json[0].1.ends_with("found JSON"), "{json:?}");
        let mut yaml = errors("policies:\n  login:\n    rate: 5/minute\n");
        yaml.sort();
        yaml.dedup();
        assert_eq!(yaml.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [8, 17, 27]);
        assert!(yaml[0].1.starts_with("expected `=` after the name, found `:`"), "{yaml:?}");
    }

    #[test]
    fn duplicates_are_reported_with_their_names() {
        let text = "[policies.login]\nrate = \"5/s\"\n[policies.login]\nrate = \"6/s\"\n[guard]\non_error = \"open\"\non_error = \"open\"\n";
        let message = "duplicate table `[policies.login]`; write all its fields in one table";
        let field = "duplicate field `on_error`; remove one of them";
        assert_eq!(errors(text), [(40, message.to_owned()), (86, field.to_owned())]);
    }

    #[test]
    fn other_errors_have_the_message_of_the_parser() {
        for (text, message) in [
            ("a = True", "invalid boolean, expected `true`"),
            ("a = 'x' y\n", "unexpected key or value, expected newline, `#`"),
            ("[a\n", "unclosed table, expected `]`"),
            ("a =\n", "expected a value after `=`, such as `a = \"…\"`, found none"),
        ] {
            assert_eq!(errors(text)[0].1, message, "{text}");
        }
    }
}
