//! Defines the pointer to a value in a JSON document (RFC 6901), such as `/user/name`.

use std::{fmt, str::FromStr};

/// A pointer to a value in a JSON document (RFC 6901). It begins with a `/`, so it never selects the whole document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonPointer {
    text: String,
    tokens: Vec<String>,
}

impl JsonPointer {
    /// Returns the names of the members and the indices of the elements that lead to the value. The slice has at least
    /// one element.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Returns the pointer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The error for a text that is not a JSON pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonPointerError;

impl FromStr for JsonPointer {
    type Err = JsonPointerError;

    fn from_str(text: &str) -> Result<Self, JsonPointerError> {
        let mut tokens = text.split('/');
        if tokens.next() != Some("") {
            return Err(JsonPointerError);
        }
        let tokens = tokens.map(unescape).collect::<Option<Vec<_>>>();
        let tokens = tokens.filter(|tokens| !tokens.is_empty()).ok_or(JsonPointerError)?;
        Ok(Self { text: text.to_owned(), tokens })
    }
}

/// Replaces `~1` by `/` and `~0` by `~`. Returns `None` for any other escape.
fn unescape(token: &str) -> Option<String> {
    let is_valid = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    // The order matters: `~01` is an escaped `~` and the character `1` (RFC 6901, section 4).
    is_valid.then(|| token.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped() {
        for (text, expected) in [
            ("/email", &["email"][..]),
            ("/user/name", &["user", "name"]),
            ("/", &[""]),
            ("/a//b", &["a", "", "b"]),
            ("/a~1b/c~0d", &["a/b", "c~d"]),
            ("/~01", &["~1"]),
            ("/users/0", &["users", "0"]),
        ] {
            let pointer: JsonPointer = text.parse().unwrap();
            assert_eq!((pointer.tokens(), pointer.as_str()), (&*strings(expected), text));
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in ["", "email", "user/name", "~0", "/~", "/~2", "/a~/b", "#/email"] {
            assert_eq!(text.parse::<JsonPointer>(), Err(JsonPointerError), "{text}");
        }
    }

    fn strings(tokens: &[&str]) -> Vec<String> {
        tokens.iter().map(ToString::to_string).collect()
    }
}
