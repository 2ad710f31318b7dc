//! Names of limits and prefixes of keys: readable, and safe inside a Redis key and a log line.

use std::{error::Error, fmt};

const MAX_BYTES: usize = 200;

/// Checks the name of a policy or the prefix of a guard's keys.
///
/// # Errors
///
/// [`NameError`] unless it has 1 to 200 bytes, and only letters, digits and ASCII punctuation without braces (braces
/// choose the slot of a key in Redis Cluster). So nothing in it is invisible or turns a line of a log around.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let illegal =
        |c: char| !(c.is_alphanumeric() || c.is_ascii_punctuation()) || c == '{' || c == '}';
    if name.is_empty() || name.len() > MAX_BYTES || name.contains(illegal) {
        return Err(NameError { name: name.to_owned() });
    }
    Ok(())
}

/// A name that cannot stand in a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.name.chars().take(40).collect();
        write!(
            f,
            "{shown:?} is not a legal name; a name has 1 to {MAX_BYTES} bytes of letters, digits and ASCII punctuation, without braces"
        )
    }
}

impl Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_names_are_legal() {
        for name in ["login", "shop::cart::add#2", "api/v1", "größe", &"a".repeat(200)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_would_break_a_key_or_a_log_line_are_refused() {
        for name in [
            "",
            "a b",
            "a\nb",
            "a\u{1b}[0m",
            "{a}",
            "a}",
            "a\u{202e}b",
            "a\u{200b}",
            &"a".repeat(201),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
