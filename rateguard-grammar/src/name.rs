//! Validates the names of limits and the prefixes of store keys, so that they are safe in Redis keys and log
//! messages.

use std::{error::Error, fmt};

const MAX_BYTES: usize = 200;

/// Validates the name of a policy, or the prefix of a guard's store keys.
///
/// # Errors
///
/// [`NameError`] if the name is invalid. A valid name has 1 to 200 bytes, and consists of letters, digits and ASCII
/// punctuation without braces. Braces are invalid, because in Redis Cluster they select the cluster slot of a key.
/// Invisible characters, and characters that reverse the direction of text, are also invalid, because they could
/// falsify a log message.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_invalid =
        |c: char| !(c.is_alphanumeric() || c.is_ascii_punctuation()) || c == '{' || c == '}';
    if name.is_empty() || name.len() > MAX_BYTES || name.contains(is_invalid) {
        return Err(NameError { name: name.to_owned() });
    }
    Ok(())
}

/// The error for an invalid name.
#[derive(Clone, PartialEq, Eq)]
pub struct NameError {
    name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.name.chars().take(40).collect();
        write!(
            f,
            "expected a name of 1 to {MAX_BYTES} bytes of letters, digits and ASCII punctuation without braces, found {start:?}"
        )
    }
}

crate::debug_as_display::debug_as_display!(NameError);

impl Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_names_are_valid() {
        for name in ["login", "shop::cart::add#2", "api/v1", "größe", &"a".repeat(200)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_unsafe_in_keys_or_logs_are_rejected() {
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
